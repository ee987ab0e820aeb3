// One room from the inside: its state, the timeline of its events, and what an operator may do to it.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";

const EVERY_MS = 2000;
const EVENTS_KEPT = 200;

function useRoom(data, roomId) {
  const [state, setState] = useState({ snapshot: null, events: [], problem: null });
  const after = useRef(0);
  useEffect(() => {
    let stopped = false;
    const turn = async () => {
      try {
        const snapshot = await data.ask(`/v1/rooms/${roomId}/snapshot`);
        if (after.current === 0) after.current = Math.max(0, snapshot.seq - 50);
        const fresh = await data.ask(`/v1/rooms/${roomId}/events?after=${after.current}`);
        after.current = snapshot.seq;
        if (!stopped) setState((old) => ({ snapshot, problem: null, events: [...old.events, ...(fresh.events ?? [])].slice(-EVENTS_KEPT) }));
      } catch (error) {
        if (!stopped) setState((old) => ({ ...old, problem: error.message }));
      }
      if (!stopped) setTimeout(turn, EVERY_MS);
    };
    turn();
    return () => { stopped = true; };
  }, [roomId]);
  return state;
}

function Seats({ seats, onAct }) {
  return html`<table><thead><tr><th>Seat</th><th>User</th><th>State</th><th></th></tr></thead><tbody>
    ${seats.map((seat) => html`<tr key=${seat.index}><td>${seat.index}</td><td dir="auto">${seat.user ? seat.user.name || seat.user.user_id : "–"}</td>
      <td>${[seat.locked && "locked", seat.muted && "seat muted", seat.mic?.admin_muted && "admin muted", seat.mic?.self_muted && "self muted", seat.away && "away", seat.mic?.can_publish && "may speak"].filter(Boolean).join(", ")}</td>
      <td>${seat.user && html`<button onClick=${() => onAct("mic:mute_user", { user_id: seat.user.user_id, muted: !seat.mic.admin_muted })}>${seat.mic.admin_muted ? "Unmute" : "Mute"}</button>
        <button class="danger" onClick=${() => onAct("mod:kick", { user_id: seat.user.user_id })}>Kick</button>`}</td></tr>`)}</tbody></table>`;
}

function Timeline({ events }) {
  return html`<ol class="timeline" aria-label="Events" reversed>${[...events].reverse().map(([name, body]) => html`<li key=${body.seq}>
    <time>${new Date(body.at).toLocaleTimeString()}</time> <b>${name}</b> <span class="quiet">#${body.seq} ${body.by ?? ""}</span>
    <details><summary>body</summary><pre>${JSON.stringify(body, null, 1)}</pre></details></li>`)}</ol>`;
}

export function RoomInspector({ data, roomId, onClose }) {
  const { snapshot, events, problem } = useRoom(data, roomId);
  const [said, setSaid] = useState(null);
  const act = (command, fields) => data.ask(`/v1/rooms/${roomId}/commands`, { method: "POST", body: JSON.stringify({ command, fields }) })
    .then(() => setSaid(null), (error) => setSaid(error.message));
  return html`<section class="inspector" aria-label=${`Room ${roomId}`}><header><h2>${roomId}</h2>
    <button class="danger" onClick=${() => act("room:close", { reason: "operator" })}>Close room</button><button class="plain" aria-label="Close" onClick=${onClose}>✕</button></header>
    ${(problem || said) && html`<p class="problem" role="status">${problem ?? said}</p>`}
    ${snapshot && html`<p class="quiet">epoch ${snapshot.epoch}, seq ${snapshot.seq}, online ${snapshot.online}</p>
      <${Seats} seats=${snapshot.seats} onAct=${act} /><h3>Events</h3><${Timeline} events=${events} />`}</section>`;
}
