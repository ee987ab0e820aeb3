// The reference client: one socket, one room. It keeps the room's state, sends commands with an id of their own,
// and comes back after a lost connection without missing or repeating an event.
import { io } from "../vendor/socket.js";
import { evolve, fromSnapshot } from "./room.js";

const ACK_TIMEOUT_MS = 8000;
const TRIES = 3;

export class Refused extends Error {
  constructor(error) {
    super(error.message || error.code);
    this.code = error.code;
    this.retry = error.retry;
    this.details = error.details;
  }
}

export class RoomClient {
  constructor(roomId, token) {
    this.roomId = roomId;
    this.room = null;
    this.status = "connecting";
    this.listeners = new Set();
    this.socket = io({ auth: { token }, transports: ["websocket", "polling"], reconnectionDelayMax: 4000 });
    this.socket.on("connect", () => this.#connected());
    this.socket.on("disconnect", (reason) => this.#set(reason === "io server disconnect" ? "ended" : "reconnecting"));
    this.socket.on("connect_error", (error) => this.#refused(error));
    this.socket.onAny((name, body) => this.#event(name, body));
  }

  // listener(name, body) after every change; name is null when only the status or the whole room changed.
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async command(name, fields = {}) {
    const body = { ...fields, cid: crypto.randomUUID() };
    for (let tried = 1; ; tried += 1) {
      try {
        const answer = await this.socket.timeout(ACK_TIMEOUT_MS).emitWithAck(name, body);
        if (answer.ok) return answer.data;
        throw new Refused(answer.error);
      } catch (error) {
        if (error instanceof Refused || tried === TRIES) throw error;
      }
    }
  }

  async join(password) {
    const position = this.room ? { epoch: this.room.epoch, last_seq: this.room.seq } : {};
    const answer = await this.command("room:join", { ...position, ...(password ? { password } : {}) });
    if (answer.snapshot) this.room = fromSnapshot(answer.snapshot, answer.you);
    else {
      for (const [name, body] of answer.events ?? []) this.room = evolve(this.room, name, body);
      this.room = { ...this.room, you: answer.you };
    }
    this.#set("joined");
  }

  close() {
    this.socket.close();
  }

  async #connected() {
    if (this.socket.recovered && this.room) return this.#set("joined");
    try {
      await this.join(this.password);
    } catch (error) {
      this.refusal = error;
      this.#set(error instanceof Refused ? "refused" : "reconnecting");
    }
  }

  #refused(error) {
    this.refusal = { code: error.data?.code ?? "UNAVAILABLE", message: error.message };
    this.#set(this.socket.active ? "reconnecting" : "refused");
  }

  #event(name, body) {
    if (name === "room:snapshot") {
      this.room = fromSnapshot(body.snapshot, body.you);
      return this.#tell(null, null);
    }
    if (name === "sys:kicked") {
      this.refusal = { code: `KICKED_${body.reason}`.toUpperCase(), message: body.reason };
      this.#set("ended");
    }
    if (this.room) this.room = evolve(this.room, name, body);
    this.#tell(name, body);
  }

  #set(status) {
    if (this.status === "ended" && status === "reconnecting") return;
    this.status = status;
    this.#tell(null, null);
  }

  #tell(name, body) {
    for (const listener of this.listeners) listener(name, body);
  }
}
