// The operator's console: every node's figures as live charts, the rooms by activity, and one room from the inside.
import { html, render, useEffect, useReducer, useState } from "../vendor/ui.js";
import { Charts } from "./charts.js";
import { ConsoleData } from "./data.js";
import { RoomInspector } from "./inspector.js";
import { usePolling } from "./polling.js";
import { forget, keep, kept, redeem, takeSecret } from "./session.js";

const OVER = "This session is over. `flylive console` prints a link to a new one.";

function Rooms({ rooms, chosen, onChoose }) {
  return html`<section class="rooms" aria-label="Rooms"><h2>Rooms</h2><table><thead><tr><th>Room</th><th>Name</th><th>Online</th><th>Seated</th></tr></thead>
    <tbody>${rooms.map((room) => html`<tr key=${room.room_id} class=${room.room_id === chosen ? "chosen" : ""}>
      <td><button class="plain link" aria-pressed=${room.room_id === chosen} onClick=${() => onChoose(room.room_id)}>${room.room_id}</button></td><td dir="auto">${room.settings.name}</td>
      <td data-room-online=${room.room_id}>${room.online}</td><td data-room-seated=${room.room_id}>${room.seated}</td></tr>`)}</tbody></table>
    ${rooms.length === 0 && html`<p class="quiet">No room is open.</p>`}</section>`;
}

function Nodes({ nodes }) {
  return html`<section class="nodes" aria-label="Nodes">${nodes.map((node) => html`<article key=${node.node} class=${node.draining ? "node draining" : "node"}>
    <b>${node.node}</b> <span class="quiet">${node.address}</span> ${node.draining && html`<span>draining</span>`}</article>`)}</section>`;
}

function Dashboard({ data, endsAt, onOut }) {
  const [version, next] = useReducer((count) => count + 1, 0);
  const [problem, setProblem] = useState(null);
  const [roomId, setRoomId] = useState(null);
  usePolling(async (isOver) => {
    const failed = await data.refresh().then(() => null, (error) => error);
    if (isOver()) return;
    if (failed?.status === 401) return onOut(failed.message);
    setProblem(failed?.message ?? null);
    next();
  }, [data]);
  const until = endsAt && `, this session until ${new Date(endsAt).toLocaleTimeString([], { timeStyle: "short" })}`;
  return html`<main class="console"><header><h1>FlyLive console</h1><span class="quiet">${data.nodes.length === 1 ? "1 node" : `${data.nodes.length} nodes`}${until}</span>
      <button class="out" onClick=${() => onOut(null)}>Leave</button></header>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <${Nodes} nodes=${data.nodes} /><${Charts} data=${data} version=${version} />
    <div class="lower"><${Rooms} rooms=${data.rooms} chosen=${roomId} onChoose=${setRoomId} />
      ${roomId && html`<${RoomInspector} key=${roomId} data=${data} roomId=${roomId} onClose=${() => setRoomId(null)} />`}</div></main>`;
}

function Door({ problem, onKey }) {
  const [key, setKey] = useState("");
  const submit = (event) => { event.preventDefault(); onKey(key.trim()); };
  return html`<main class="door"><h1>FlyLive console</h1>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <p class="quiet">Open the link that <code>flylive console</code> prints, or give a service key.</p>
    <form onSubmit=${submit}><label>Service key<input type="password" autocomplete="off" value=${key} required onInput=${(event) => setKey(event.target.value)} /></label>
    <button class="primary">Open</button></form></main>`;
}

function App({ secret }) {
  const [session, setSession] = useState(secret ? null : kept());
  const [problem, setProblem] = useState(null);
  const [redeeming, setRedeeming] = useState(Boolean(secret));
  const [data, setData] = useState(null);
  useEffect(() => {
    if (secret) redeem(secret).then(setSession, (error) => setProblem(error.message)).finally(() => setRedeeming(false));
  }, []);
  useEffect(() => setData(session && new ConsoleData(session.token)), [session]);
  const out = (message) => { forget(); setProblem(message && (session.ends_at ? OVER : message)); setSession(null); };
  if (redeeming) return html`<main class="door"><p role="status">…</p></main>`;
  if (!session) return html`<${Door} problem=${problem} onKey=${(key) => setSession(keep({ token: key }))} />`;
  return data && html`<${Dashboard} data=${data} endsAt=${session.ends_at} onOut=${out} />`;
}

render(html`<${App} secret=${takeSecret()} />`, document.body);
