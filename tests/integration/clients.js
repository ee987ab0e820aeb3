// Real socket.io-client instances under the command of a test: JSON lines in, JSON lines out.
//
// In:  {id, op, ...}; out: {id, result} or {id, error}. Every client keeps what it got, in order; `waited`
// requests are answered as soon as their condition holds, and never by looking at the clock.

const readline = require("readline");
const packages = {
  newest: require("socket.io-client"),
  "4.6": require("socket.io-client-46"),
};
const msgpack = require("socket.io-msgpack-parser");

const clients = new Map();
let waiting = [];

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

function look() {
  waiting = waiting.filter((one) => {
    const found = one.condition();
    if (found === undefined) return true;
    clearTimeout(one.timer);
    say({ id: one.id, result: found });
    return false;
  });
}

function wait(id, seconds, what, condition) {
  const found = condition();
  if (found !== undefined) return say({ id, result: found });
  const one = { id, condition };
  one.timer = setTimeout(() => {
    waiting = waiting.filter((other) => other !== one);
    say({ id, error: `not within ${seconds} s: ${what()}` });
  }, seconds * 1000);
  waiting.push(one);
}

class Client {
  constructor({ url, auth, transports, parser, library, options }) {
    const { io } = packages[library || "newest"];
    this.events = [];
    this.connects = [];
    this.errors = [];
    this.disconnects = [];
    this.received = 0;
    this.socket = io(url, {
      auth,
      transports: transports || ["websocket"],
      forceNew: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 200,
      timeout: 10000,
      ...(parser === "msgpack" ? { parser: msgpack } : {}),
      ...(options || {}),
    });
    const socket = this.socket;
    socket.on("connect", () => {
      this.connects.push({ id: socket.id, recovered: socket.recovered === true, received: this.events.length });
      look();
    });
    socket.on("connect_error", (error) => {
      this.errors.push({ message: error.message, data: error.data });
      look();
    });
    socket.on("disconnect", (reason) => {
      this.disconnects.push(reason);
      look();
    });
    socket.onAny((name, ...args) => {
      this.events.push([name, args[0], args.length > 1 ? args[1] : null]);
      look();
    });
  }

  state() {
    const { socket, connects, errors, disconnects, events } = this;
    return {
      connected: socket.connected,
      active: socket.active,
      id: socket.id ?? null,
      recovered: socket.recovered === true,
      transport: socket.io.engine?.transport?.name ?? null,
      connects, errors, disconnects, events: events.length,
    };
  }
}

function emit(socket, name, args, seconds) {
  return new Promise((resolve, reject) => {
    socket.timeout(seconds * 1000).emit(name, ...args, (error, answer) =>
      error ? reject(new Error(`no ack of ${name} within ${seconds} s`)) : resolve(answer));
  });
}

const operations = {
  open({ id, name, ...how }) {
    clients.set(name, new Client(how));
    say({ id, result: true });
  },
  connected({ id, name, count, seconds }) {
    const client = clients.get(name);
    wait(id, seconds, () => `connection ${count} of ${name}: ${JSON.stringify(client.state())}`, () =>
      client.connects.length >= count && client.socket.connected ? client.state() : undefined);
  },
  failed({ id, name, count, seconds }) {
    const client = clients.get(name);
    wait(id, seconds, () => `a refusal of ${name}: ${JSON.stringify(client.state())}`, () =>
      client.errors.length >= count ? client.errors[count - 1] : undefined);
  },
  disconnected({ id, name, count, seconds }) {
    const client = clients.get(name);
    wait(id, seconds, () => `disconnect ${count} of ${name}`, () =>
      client.disconnects.length >= count ? client.disconnects : undefined);
  },
  // the first event of this name (and with these fields) at or after a place in the client's list
  event({ id, name, event, fields, from, seconds }) {
    const client = clients.get(name);
    const fits = ([other, body]) =>
      other === event && Object.entries(fields || {}).every(([key, value]) =>
        JSON.stringify(body?.[key]) === JSON.stringify(value));
    wait(id, seconds, () => `${event} ${JSON.stringify(fields)} at ${name}; got ${JSON.stringify(client.events.slice(-12))}`, () => {
      const at = client.events.findIndex((one, index) => index >= (from || 0) && fits(one));
      return at < 0 ? undefined : { at, body: client.events[at][1], position: client.events[at][2] };
    });
  },
  // as soon as a room event with this seq or a later one is there
  reached({ id, name, seq, seconds }) {
    const client = clients.get(name);
    wait(id, seconds, () => `seq ${seq} at ${name}; last ${JSON.stringify(client.events.slice(-1))}`, () =>
      client.events.some(([, body]) => body?.seq >= seq) ? true : undefined);
  },
  events({ id, name, from }) {
    say({ id, result: clients.get(name).events.slice(from || 0) });
  },
  state({ id, name }) {
    say({ id, result: clients.get(name).state() });
  },
  emit({ id, name, event, args, seconds }) {
    emit(clients.get(name).socket, event, args, seconds).then(
      (result) => say({ id, result }), (error) => say({ id, error: error.message }));
  },
  // without waiting for an ack
  cast({ id, name, event, args }) {
    clients.get(name).socket.emit(event, ...args);
    say({ id, result: true });
  },
  auth({ id, name, auth }) {
    clients.get(name).socket.auth = auth;
    say({ id, result: true });
  },
  // the transport is lost; the client comes back by itself
  cut({ id, name }) {
    clients.get(name).socket.io.engine?.close();
    say({ id, result: true });
  },
  // the client reconnects to another place
  move({ id, name, url }) {
    const manager = clients.get(name).socket.io;
    const target = new URL(url);
    manager.uri = url;
    manager.opts.hostname = target.hostname;
    manager.opts.port = target.port;
    say({ id, result: true });
  },
  disconnect({ id, name }) {
    clients.get(name).socket.disconnect();
    say({ id, result: true });
  },
  connect({ id, name }) {
    clients.get(name).socket.connect();
    say({ id, result: true });
  },
  close({ id, name }) {
    clients.get(name)?.socket.io._close?.();
    clients.get(name)?.socket.disconnect();
    clients.delete(name);
    say({ id, result: true });
  },
};

readline.createInterface({ input: process.stdin }).on("line", (text) => {
  const line = JSON.parse(text);
  try {
    operations[line.op](line);
  } catch (error) {
    say({ id: line.id, error: String(error.stack) });
  }
}).on("close", () => process.exit(0));
