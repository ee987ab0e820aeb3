// A recording of one room's traffic: it runs while the page is open, and is kept by the page for a download.
import { html, useEffect, useReducer, useRef, useState } from "../vendor/ui.js";

const NORMAL_CLOSE = 1000;

class Recording {
  constructor(bearer, roomId, changed) {
    this.state = "running";
    this.chunks = [];
    this.bytes = 0;
    this.socket = new WebSocket(`${location.origin.replace("http", "ws")}/v1/console/recording`);
    this.socket.onopen = () => this.socket.send(JSON.stringify({ bearer, room_id: roomId }));
    this.socket.onmessage = ({ data }) => { this.chunks.push(data); this.bytes += data.size; changed(); };
    this.socket.onclose = ({ code, reason }) => { this.#end(code, reason); changed(); };
  }

  stop() {
    this.state = "stopping";
    this.socket.send("stop");
  }

  // Only a recording that was ended in order can be replayed.
  #end(code, reason) {
    this.state = code === NORMAL_CLOSE ? "ready" : "failed";
    this.problem = reason || "The connection was lost.";
    this.url = URL.createObjectURL(new Blob(this.chunks, { type: "application/x-ndjson" }));
  }

  discard() {
    this.socket.onclose = null;
    this.socket.close();
    if (this.url) URL.revokeObjectURL(this.url);
  }
}

export function Recorder({ data, roomId }) {
  const [recording, setRecording] = useState(null);
  const [, changed] = useReducer((count) => count + 1, 0);
  const latest = useRef(null);
  useEffect(() => () => latest.current?.discard(), []);
  const start = () => {
    latest.current?.discard();
    latest.current = new Recording(data.bearer, roomId, changed);
    setRecording(latest.current);
  };
  const stop = () => { recording.stop(); changed(); };
  const running = recording?.state === "running";
  const size = `${Math.ceil((recording?.bytes ?? 0) / 1000)} kB`;
  return html`<div class="recorder"><button aria-pressed=${running} disabled=${recording?.state === "stopping" || (running && recording.bytes === 0)} data-testid="record" onClick=${running ? stop : start}>
      ${running ? "Stop recording" : "Record traffic"}</button>
    <span role="status">${recording?.state === "failed" ? recording.problem : recording && recording.state !== "ready" ? `Recording, ${size}` : ""}</span>
    ${recording?.state === "ready" && html`<a href=${recording.url} download=${`${roomId}.jsonl`} data-testid="recording">Save ${roomId}.jsonl (${size})</a>`}
    <p class="quiet">Without names and texts, for <code>flylive replay</code>. It has what passes through the node this page talks to.</p></div>`;
}
