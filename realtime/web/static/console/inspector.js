// One room from the inside: its state, the timeline of its events, its audio, and what an operator may do to it.
import { html, useRef, useState } from "../vendor/ui.js";
import { usePolling } from "./polling.js";
import { Recorder } from "./recording.js";
import { Transports } from "./transports.js";

const EVENTS_KEPT = 200;
const EVENTS_BEFORE = 50;

// The snapshot, and the events from a little before the first one on.
function useRoom(data, roomId) {
  const [state, setState] = useState({ snapshot: null, events: [], problem: null });
  const position = useRef(null);
  usePolling(async (isOver) => {
    try {
      const snapshot = await data.ask(`/v1/rooms/${roomId}/snapshot`);
      position.current ??= `${snapshot.epoch}:${Math.max(0, snapshot.seq - EVENTS_BEFORE)}`;
      const fresh = await data.ask(`/v1/rooms/${roomId}/events?after=${position.current}`).catch((error) => {
        if (error.code !== "CONFLICT") throw error;
        return { events: [], epoch: snapshot.epoch, seq: snapshot.seq };
      });
      position.current = `${fresh.epoch}:${fresh.seq}`;
      if (!isOver()) setState((old) => ({ snapshot, problem: null, events: [...old.events, ...fresh.events].slice(-EVENTS_KEPT) }));
    } catch (error) {
      if (!isOver()) setState((old) => ({ ...old, problem: error.message }));
    }
  }, [data, roomId]);
  return state;
}

const nameOf = (user) => user.name || user.user_id;

function notesOf(seat) {
  return [seat.locked && "locked", seat.muted && "seat muted", seat.mic?.admin_muted && "admin muted", seat.mic?.self_muted && "self muted",
    seat.away && "away", seat.mic?.can_publish && "may speak"].filter(Boolean).join(", ");
}

function Seat({ seat, onAct }) {
  const { user, mic } = seat;
  const mute = mic?.admin_muted ? "Unmute" : "Mute";
  return html`<tr><td>${seat.index + 1}</td><td class="user" dir="auto">${user ? nameOf(user) : "–"}</td><td>${notesOf(seat)}</td>
    <td>${user && html`<button aria-label=${`${mute} ${nameOf(user)}`} onClick=${() => onAct("mic:mute_user", { user_id: user.user_id, muted: !mic.admin_muted })}>${mute}</button>
      <button class="danger" aria-label=${`Kick ${nameOf(user)}`} onClick=${() => onAct("mod:kick", { user_id: user.user_id })}>Kick</button>`}</td></tr>`;
}

function Seats({ seats, onAct }) {
  return html`<div class="wide"><table><thead><tr><th>Seat</th><th>User</th><th>State</th><th><span class="hidden-visually">Actions</span></th></tr></thead>
    <tbody>${seats.map((seat) => html`<${Seat} key=${seat.index} seat=${seat} onAct=${onAct} />`)}</tbody></table></div>`;
}

function Timeline({ events }) {
  return html`<ol class="timeline" aria-label="Events" tabindex="0">${[...events].reverse().map(([name, body]) => html`<li key=${`${body.seq}-${body.at}`}>
    <details><summary><time>${new Date(body.at).toLocaleTimeString()}</time> <b>${name}</b> <span class="quiet">#${body.seq} ${body.by ?? ""}</span></summary>
    <pre>${JSON.stringify(body, null, 1)}</pre></details></li>`)}</ol>`;
}

export function RoomInspector({ data, roomId, onClose }) {
  const { snapshot, events, problem } = useRoom(data, roomId);
  const [said, setSaid] = useState(null);
  const [sure, setSure] = useState(false);
  const act = (command, fields) => data.ask(`/v1/rooms/${roomId}/commands`, { method: "POST", body: JSON.stringify({ command, fields }) })
    .then(() => setSaid(null), (error) => setSaid(error.message));
  const seated = snapshot?.seats.filter((seat) => seat.user).map((seat) => [seat.user.user_id, nameOf(seat.user)]);
  return html`<section class="inspector" aria-label=${`Room ${roomId}`}><header><h2>${roomId}</h2>
    <button class="danger" onClick=${() => (sure ? act("room:close", { reason: "operator" }) : setSure(true))}>${sure ? "Really close it?" : "Close room"}</button><button class="plain" aria-label="Close this view" onClick=${onClose}>✕</button></header>
    ${(problem || said) && html`<p class="problem" role="status">${problem ?? said}</p>`}
    ${snapshot && html`<p class="quiet">epoch ${snapshot.epoch}, seq ${snapshot.seq}, online ${snapshot.online}</p>
      <${Seats} seats=${snapshot.seats} onAct=${act} />
      <h3>Audio</h3><${Transports} data=${data} roomId=${roomId} names=${new Map(seated)} />
      <h3>Recording</h3><${Recorder} data=${data} roomId=${roomId} />
      <h3>Events</h3><${Timeline} events=${events} />`}</section>`;
}
