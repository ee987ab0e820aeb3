// A room server as one writes it on Node today: socket.io with its default in-memory adapter, or with its
// Redis adapter when REDIS_URL is set. Same commands, same acks and about the same bytes per event as ours,
// so that what is compared is the server and not the task.
//
//   node --expose-gc server.js PORT [json|msgpack]
//
// Control: GET /healthz, /collect (garbage), /fan?room=R&burst=B (B events in one tick).
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import * as messagePack from 'socket.io-msgpack-parser';

const [port, parserName = 'json'] = process.argv.slice(2);
const TOKEN = 'peer';
const SEATS = 9;
const rooms = new Map();

const http = createServer((request, response) => {
  const url = new URL(request.url, 'http://peer');
  if (url.pathname === '/fan') return fan(url.searchParams, response);
  if (url.pathname === '/collect' && globalThis.gc) globalThis.gc();
  response.end('ok');
});

const options = {
  pingInterval: 10000,
  pingTimeout: 8000,
  perMessageDeflate: false,
  connectTimeout: 5000,
  ...(parserName === 'msgpack' ? { parser: messagePack.default ?? messagePack } : {}),
};
if (process.env.REDIS_URL) {
  const url = process.env.REDIS_URL;
  // A Unix socket has no URL form in this client.
  const publisher = createClient(url.startsWith('unix://')
    ? { socket: { path: url.slice('unix://'.length).split('?')[0] } } : { url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  options.adapter = createAdapter(publisher, subscriber);
}
const io = new Server(http, options);

function roomOf(id) {
  let room = rooms.get(id);
  if (!room) {
    room = { id, seq: 0, members: new Map(), seats: Array.from({ length: SEATS }, (_, index) => ({
      index, locked: false, muted: false, user: null, mic: null, away: false })), chat: [] };
    rooms.set(id, room);
  }
  return room;
}

function announce(room, name, by, fields) {
  room.seq += 1;
  io.to(room.id).emit(name, { room_id: room.id, seq: room.seq, at: Date.now(), by, ...fields });
}

const refused = (code) => ({ ok: false, error: { code, message: code, retry: 'never' } });
const done = (data = {}) => ({ ok: true, data });

const commands = {
  'sys:time': (socket, room, { t0 }) => done({ t0, t1: Date.now(), t2: Date.now() }),
  'seat:take': (socket, room, { index }) => {
    const seat = index < 0 ? room.seats.find((one) => !one.user && !one.locked) : room.seats[index];
    if (!seat) return refused('SEAT_INDEX_INVALID');
    if (seat.user) return refused('SEAT_OCCUPIED');
    if (room.seats.some((one) => one.user?.user_id === socket.data.user.user_id)) return refused('ALREADY_SEATED');
    seat.user = socket.data.user;
    seat.mic = { self_muted: false, admin_muted: false, can_publish: true };
    announce(room, 'seat:changed', socket.data.user.user_id, { cause: 'take', seats: [seat] });
    return done({ seat });
  },
  'seat:leave': (socket, room) => {
    const seat = room.seats.find((one) => one.user?.user_id === socket.data.user.user_id);
    if (!seat) return refused('NOT_SEATED');
    seat.user = seat.mic = null;
    announce(room, 'seat:changed', socket.data.user.user_id, { cause: 'leave', seats: [seat] });
    return done();
  },
  'chat:send': (socket, room, { text }) => {
    const message = { message_id: `m${room.seq + 1}`, user: socket.data.user, text, kind: 'text' };
    room.chat.push(message);
    if (room.chat.length > 50) room.chat.shift();
    announce(room, 'chat:message', socket.data.user.user_id, message);
    return done({ message_id: message.message_id, seq: room.seq });
  },
};

io.use((socket, next) => {
  const { token, room_id: roomId, user_id: userId } = socket.handshake.auth;
  if (token !== TOKEN || !roomId || !userId) return next(new Error('TOKEN_INVALID'));
  socket.data = { room: roomId, user: { user_id: userId, name: userId, avatar: '', role: 'member' } };
  return next();
});

io.on('connection', (socket) => {
  const room = roomOf(socket.data.room);
  socket.on('room:join', (fields, acknowledge) => {
    socket.join(room.id);
    room.members.set(socket.id, socket.data.user);
    acknowledge(done({ epoch: 'e1', seq: room.seq, resumed: false, snapshot: {
      room_id: room.id, seats: room.seats, chat: room.chat, online: room.members.size } }));
  });
  for (const [name, perform] of Object.entries(commands)) {
    socket.on(name, (fields, acknowledge) => acknowledge(perform(socket, room, fields)));
  }
  socket.on('disconnect', () => room.members.delete(socket.id));
});

const EVENT = {
  user: { user_id: 'user-1234567', name: 'user-name', avatar: '', role: 'member' },
  text: 'hello everyone in the room',
  kind: 'text',
};

function fan(query, response) {
  const room = roomOf(query.get('room'));
  for (let left = Number(query.get('burst') ?? 1); left > 0; left -= 1) announce(room, 'chat:message', null, EVENT);
  response.end('ok');
}

http.listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
