// Unmodified socket.io-client against recovering.py: `node real_clients.js URL VERSION`.
// Prints one line per case; exit 1 when a case failed.
const assert = require('assert');

const [url, version] = process.argv.slice(2);
const {io} = require(version === '4.6' ? 'socket.io-client-46' : 'socket.io-client');
const parser = require('socket.io-msgpack-parser');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const control = (path) => fetch(url + '/control/' + path).then((response) => response.json());
const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const range = (from, to) => Array.from({length: to - from}, (_, index) => from + index);
const websocket = {transports: ['websocket']};
const variants = {
  'json websocket': websocket,
  'msgpack websocket': {...websocket, parser},
  'json polling': {transports: ['polling']},
  'msgpack polling': {transports: ['polling'], parser},
  'json polling, upgraded': {transports: ['polling', 'websocket']},
  'msgpack polling, upgraded': {transports: ['polling', 'websocket'], parser},
  'json websocket before polling': {transports: ['websocket', 'polling']},
};

let failed = 0;
let passed = 0;
const open = [];

function connect(options, auth = {user: 'u'}) {
  const fast = {reconnectionDelay: 100, reconnectionDelayMax: 100, randomizationFactor: 0, forceNew: true};
  const socket = io(url, {...fast, auth, ...options});
  socket.got = [];
  socket.personal = [];
  socket.on('chat', (body) => socket.got.push(body.n));
  socket.on('personal', (body) => socket.personal.push(body.n));
  open.push(socket);
  return socket;
}

async function until(condition, what) {
  for (let waited = 0; waited < 15000; waited += 10) {
    if (condition()) return;
    await sleep(10);
  }
  throw new Error('never: ' + what);
}

const got = (socket, numbers) => until(() => socket.got.length >= numbers.length, 'events').then(async () => {
  await sleep(30); // one too many would come now
  assert.deepStrictEqual(socket.got, numbers);
});

async function test(name, body) {
  try {
    await Promise.race([body(), sleep(40000).then(() => { throw new Error('timeout'); })]);
    passed++;
    console.log('ok   ' + name);
  } catch (error) {
    failed++;
    console.log('FAIL ' + name + ': ' + String(error.message || error).split('\n').slice(0, 12).join(' | '));
  }
  for (const socket of open.splice(0)) socket.disconnect();
}

async function resumes(options) {
  const socket = connect(options);
  await once(socket, 'connect');
  const id = socket.id;
  await control('publish?from=0&to=3');
  await got(socket, range(0, 3));
  const connected = once(socket, 'connect');
  socket.io.engine.close();
  await control('publish?from=3&to=6');
  await control(`personal?sid=${id}&n=1`);
  await sleep(20);
  await control('publish?from=6&to=8');
  await connected;
  await control('publish?from=8&to=10');
  await got(socket, range(0, 10));
  assert.deepStrictEqual([socket.recovered, socket.id === id, socket.personal], [true, true, [1]]);
}

async function resumesWithoutAnEvent(options) {
  const socket = connect(options);
  await once(socket, 'connect');
  const id = socket.id;
  const connected = once(socket, 'connect');
  socket.io.engine.close();
  await control('publish?from=0&to=2');
  await connected;
  await got(socket, [0, 1]);
  assert.deepStrictEqual([socket.recovered, socket.id === id], [true, true]);
}

async function answersInOrder(options) {
  const socket = connect(options);
  const back = [];
  socket.on('counted', (body) => back.push(body.n));
  await once(socket, 'connect');
  for (let n = 0; n < 300; n++) {
    socket.emit('count', n);
    if (n % 25 === 0) await sleep(2);
  }
  await until(() => back.length === 300, 'answers');
  assert.deepStrictEqual(back, range(0, 300));
}

async function eventsDuringUpgrade(options) {
  let stop = false;
  let n = 0;
  const feed = (async () => {
    while (!stop) {
      await control(`publish?from=${n}&to=${n + 3}`);
      n += 3;
    }
  })();
  const socket = connect(options);
  await once(socket, 'connect');
  await sleep(300);
  await until(() => socket.got.length > 20, 'many events');
  stop = true;
  await feed;
  await until(() => socket.got.at(-1) === n - 1, 'the last event');
  assert.deepStrictEqual(socket.got, range(socket.got[0], n));
}

async function manyResumes(options) {
  const socket = connect(options);
  await once(socket, 'connect');
  let stop = false;
  let n = 0;
  const feed = (async () => {
    while (!stop) {
      await control(`publish?from=${n}&to=${n + 2}`);
      n += 2;
      await sleep(15);
    }
  })();
  for (let round = 0; round < 10; round++) {
    await sleep(30 + ((17 * round) % 90));
    const connected = once(socket, 'connect');
    if (round % 3 === 2) await control('cut?sid=' + socket.id);
    else socket.io.engine.close();
    await connected;
    assert.ok(socket.recovered);
  }
  stop = true;
  await feed;
  await got(socket, range(0, n));
}

async function payloads(options) {
  const socket = connect(options);
  await once(socket, 'connect');
  const value = {text: 'Grüße 日本 \u{1f600} "\\/\u2028', list: [1, -2.5, true, null, {}], big: 2 ** 53 - 1};
  for (const body of [value, {long: 'x'.repeat(40000)}, [], null]) {
    assert.deepStrictEqual(await socket.timeout(15000).emitWithAck('echo', body), body);
  }
}

(async () => {
  const every = Object.entries(variants);
  const chosen = version === '4.6' ? every.filter((_, index) => [0, 1, 4].includes(index)) : every;
  for (const [name, options] of chosen) {
    await test(name + ': resumes with everything that was missed', () => resumes(options));
    await test(name + ': resumes without having seen an event', () => resumesWithoutAnEvent(options));
    await test(name + ': 300 commands are answered in order', () => answersInOrder(options));
    await test(name + ': events during connect and upgrade', () => eventsDuringUpgrade(options));
    await test(name + ': ten resumes in a stream of events', () => manyResumes(options));
    await test(name + ': payloads', () => payloads(options));
  }
  await test('a resume replaces the half-open connection', async () => {
    const old = connect(websocket);
    await once(old, 'connect');
    await control('publish?from=0&to=1');
    await got(old, [0]);
    old.io.reconnection(false);
    const fresh = connect(websocket);
    [fresh._pid, fresh._lastOffset] = [old._pid, old._lastOffset];
    await once(fresh, 'connect');
    await control('publish?from=1&to=2');
    await got(fresh, [1]);
    await until(() => !old.connected, 'the end of the old connection');
    assert.deepStrictEqual([fresh.recovered, old.got], [true, [0]]);
  });
  await test('a banned user is refused on resume', async () => {
    const socket = connect(websocket, {user: 'bad'});
    await once(socket, 'connect');
    await control('ban?user=bad');
    socket.io.engine.close();
    const [error] = await once(socket, 'connect_error');
    assert.strictEqual(error.message, 'banned');
  });
  await test('a refused polling client hears why', async () => {
    const [error] = await once(connect({transports: ['polling']}, {user: 'bad'}), 'connect_error');
    assert.strictEqual(error.message, 'banned');
  });
  for (const [name, options] of Object.entries({websocket, polling: {transports: ['polling']}})) {
    await test(`a kicked client (${name}) is told so and starts anew`, async () => {
      const socket = connect(options);
      await once(socket, 'connect');
      const id = socket.id;
      const disconnected = once(socket, 'disconnect');
      await control('kick?sid=' + id);
      assert.strictEqual((await disconnected)[0], 'io server disconnect');
      socket.connect();
      await once(socket, 'connect');
      assert.deepStrictEqual([socket.recovered, socket.id === id], [false, false]);
    });
  }
  await test('too much was missed: a new session', async () => {
    const socket = connect(websocket);
    await once(socket, 'connect');
    const [id, pid] = [socket.id, socket._pid];
    const connected = once(socket, 'connect');
    socket.io.engine.close();
    await control('publish?from=0&to=210');
    await connected;
    assert.deepStrictEqual([socket.recovered, socket.id === id, socket._pid === pid], [false, false, false]);
    await control('publish?from=210&to=211');
    await got(socket, [210]);
  });
  await test('forged claims are not believed', async () => {
    for (const [pid, offset] of [['x', 'y'], ['x', undefined], ['none', 'zz:5']]) {
      const socket = connect(websocket);
      [socket._pid, socket._lastOffset] = [pid, offset];
      await once(socket, 'connect');
      assert.strictEqual(socket.recovered, false);
    }
  });
  await test('lossy events do not spoil the position', async () => {
    const socket = connect(websocket);
    await once(socket, 'connect');
    await control('publish?from=0&to=1');
    await control('lossy?n=9');
    await got(socket, [0, 9]);
    const connected = once(socket, 'connect');
    socket.io.engine.close();
    await control('publish?from=1&to=2');
    await connected;
    await got(socket, [0, 9, 1]);
    assert.ok(socket.recovered);
  });
  await test('events before a join are not replayed', async () => {
    const socket = connect(websocket);
    await once(socket, 'connect');
    await control('publish?from=100&to=103&room=q');
    assert.strictEqual(await socket.emitWithAck('move', 'r', 'q'), 'moved');
    const connected = once(socket, 'connect');
    socket.io.engine.close();
    await control('publish?from=103&to=105&room=q');
    await control('publish?from=1&to=2');
    await connected;
    await got(socket, [103, 104]);
  });
  await test('every parser and transport in one room', async () => {
    const all = Object.values(variants).map((options) => connect(options));
    await Promise.all(all.map((socket) => once(socket, 'connect')));
    await control('publish?from=0&to=25');
    for (const socket of all) await got(socket, range(0, 25));
  });
  await test('idle clients live on pings', async () => {
    const all = Object.values(variants).map((options) => connect(options));
    let lost = 0;
    for (const socket of all) socket.on('disconnect', () => lost++);
    await Promise.all(all.map((socket) => once(socket, 'connect')));
    await sleep(3500); // longer than who does not answer a ping stays
    assert.strictEqual(lost, 0);
  });
  let sessions;
  for (let waited = 0; waited < 15000; waited += 100) {
    ({sessions} = await control('state'));
    if (!sessions) break;
    await sleep(100);
  }
  if (sessions) { failed++; console.log('FAIL sessions left: ' + sessions); }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
})();
