// Keeps the sound of one room going: opens it, follows the seat and the microphone, starts over when it was lost.
import { MediasoupVoice, OfferVoice } from "./voice.js";
import { mine } from "./room.js";

const RETRY_MS = 1500;
const RESTART_PATIENCE_MS = 6000;

export class Sound {
  constructor(client, sink, onChange) {
    this.client = client;
    this.sink = sink;
    this.onChange = onChange;
    this.mode = "mediasoup";
    this.state = "off";
    this.chain = Promise.resolve();
  }

  // Steps run one after another: opening, publishing and closing never overlap.
  #step(work) {
    this.chain = this.chain.then(work).catch((error) => this.#failed(error));
    return this.chain;
  }

  start(mode = this.mode) {
    this.mode = mode;
    return this.#step(async () => {
      this.voice?.close();
      this.published = false;
      const command = (name, fields) => this.client.command(name, fields);
      this.voice = mode === "offer" ? new OfferVoice(command, this.sink) : new MediasoupVoice(command, this.sink);
      this.voice.onlost = () => this.recover();
      await this.voice.open();
      this.#state("listening");
      await this.#follow();
    });
  }

  // Called after every change of the room: publishes when seated, opens and closes the microphone.
  follow() {
    return this.#step(() => this.#follow());
  }

  recover() {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.start(), RESTART_PATIENCE_MS);
    return this.#step(async () => {
      await this.voice?.restart();
      clearTimeout(this.patience);
    });
  }

  stop() {
    clearTimeout(this.patience);
    clearTimeout(this.retry);
    this.voice?.close();
    this.track?.stop();
    this.voice = null;
    this.track = null;
  }

  async #follow() {
    if (!this.voice || !this.client.room) return;
    const seat = mine(this.client.room);
    if (seat && !this.published) {
      this.track ??= await this.#microphone();
      if (this.track) {
        await this.voice.publish(this.track);
        this.published = true;
      }
    }
    if (!seat && this.published) {
      this.published = false;
      await this.voice.unpublish();
      this.track?.stop();
      this.track = null;
    }
    if (this.track) this.track.enabled = Boolean(seat?.mic?.can_publish);
  }

  async #microphone() {
    if (this.refused || !navigator.mediaDevices) return this.#withoutMicrophone();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
      return stream.getAudioTracks()[0];
    } catch {
      return this.#withoutMicrophone();
    }
  }

  #withoutMicrophone() {
    this.refused = true;
    this.#state("no_microphone");
    return null;
  }

  #failed(error) {
    this.#state("failed");
    if (error.code === "RTC_UNSUPPORTED" || this.client.status !== "joined") return;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.start(), RETRY_MS);
  }

  #state(state) {
    this.state = state;
    this.onChange();
  }
}
