// Real socket.io-client instances under the command of a test. Every client keeps what it got, in order; who waits is
// answered as soon as the condition holds, and never by looking at the clock.

const { serve } = require("../lines.js");
const packages = {
  newest: require("socket.io-client"),
  "4.6": require("socket.io-client-46"),
};
const msgpack = require("socket.io-msgpack-parser");

const clients = new Map();
let waiting = [];

function look() {
  waiting = waiting.filter((one) => !one());
}

function wait(seconds, what, condition) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting = waiting.filter((other) => other !== one);
      reject(new Error(`not within ${seconds} s: ${what()}`));
    }, seconds * 1000);
    const one = () => {
      const found = condition();
      if (found === undefined) return false;
      clearTimeout(timer);
      resolve(found);
      return true;
    };
    if (!one()) waiting.push(one);
  });
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
  open({ name, ...how }) {
    clients.set(name, new Client(how));
  },
  connected({ name, count, seconds }) {
    const client = clients.get(name);
    return wait(seconds, () => `connection ${count} of ${name}: ${JSON.stringify(client.state())}`, () =>
      client.connects.length >= count && client.socket.connected ? client.state() : undefined);
  },
  failed({ name, count, seconds }) {
    const client = clients.get(name);
    return wait(seconds, () => `a refusal of ${name}: ${JSON.stringify(client.state())}`, () =>
      client.errors.length >= count ? client.errors[count - 1] : undefined);
  },
  disconnected({ name, count, seconds }) {
    const client = clients.get(name);
    return wait(seconds, () => `disconnect ${count} of ${name}`, () =>
      client.disconnects.length >= count ? client.disconnects : undefined);
  },
  // the first event of this name (and with these fields) at or after a place in the client's list
  event({ name, event, fields, from, seconds }) {
    const client = clients.get(name);
    const fits = ([other, body]) =>
      other === event && Object.entries(fields || {}).every(([key, value]) =>
        JSON.stringify(body?.[key]) === JSON.stringify(value));
    return wait(seconds, () => `${event} ${JSON.stringify(fields)} at ${name}; got ${JSON.stringify(client.events.slice(-12))}`, () => {
      const at = client.events.findIndex((one, index) => index >= (from || 0) && fits(one));
      return at < 0 ? undefined : { at, body: client.events[at][1], position: client.events[at][2] };
    });
  },
  // as soon as a room event with this seq or a later one is there
  reached({ name, seq, seconds }) {
    const client = clients.get(name);
    return wait(seconds, () => `seq ${seq} at ${name}; last ${JSON.stringify(client.events.slice(-1))}`, () =>
      client.events.some(([, body]) => body?.seq >= seq) ? true : undefined);
  },
  events({ name, from }) {
    return clients.get(name).events.slice(from || 0);
  },
  state({ name }) {
    return clients.get(name).state();
  },
  emit({ name, event, args, seconds }) {
    return emit(clients.get(name).socket, event, args, seconds);
  },
  // without waiting for an ack
  cast({ name, event, args }) {
    clients.get(name).socket.emit(event, ...args);
  },
  auth({ name, auth }) {
    clients.get(name).socket.auth = auth;
  },
  // the transport is lost; the client comes back by itself
  cut({ name }) {
    clients.get(name).socket.io.engine?.close();
  },
  // the client reconnects to another place
  move({ name, url }) {
    const manager = clients.get(name).socket.io;
    const target = new URL(url);
    manager.uri = url;
    manager.opts.hostname = target.hostname;
    manager.opts.port = target.port;
  },
  disconnect({ name }) {
    clients.get(name).socket.disconnect();
  },
  connect({ name }) {
    clients.get(name).socket.connect();
  },
  close({ name }) {
    clients.get(name)?.socket.io._close?.();
    clients.get(name)?.socket.disconnect();
    clients.delete(name);
  },
};

serve(operations);
