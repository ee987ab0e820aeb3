// The operator's console: every node's figures as live charts, the rooms by activity, and one room from the inside.
import { html, render, useEffect, useReducer, useRef, useState } from "../vendor/ui.js";
import Chart from "../vendor/chart.js";
import { ConsoleData } from "./data.js";
import { RoomInspector } from "./inspector.js";

const EVERY_MS = 2000;
const STROKES = ["#8f6bff", "#ff5c8a", "#3ddc97", "#ffc857", "#5cc8ff", "#ff9f5c"];

const CHARTS = [
  { title: "Connections", figure: "connections" },
  { title: "Events delivered per second", figure: "deliveries", rate: true },
  { title: "Commands per second", figure: "commands", rate: true },
  { title: "Ack p50 (ms)", figure: "ack_p50_ms" },
  { title: "Ack p99 (ms)", figure: "ack_p99_ms" },
  { title: "Loop lag (ms)", figure: "loop_lag_ms" },
  { title: "Audio packets forwarded per second", figure: "packets", rate: true },
  { title: "Audio packets lost on the way in per second", figure: "packets_lost", rate: true },
  { title: "Gifts per second", figure: "gifts", rate: true },
  { title: "CPU (cores)", figure: "cpu_seconds", rate: true },
  { title: "Memory (MB)", figure: "memory_mb" },
];

function options(title, nodes, width) {
  const lines = nodes.map((node, index) => ({ label: node.node, stroke: STROKES[index % STROKES.length], width: 2, points: { show: false } }));
  const axis = { stroke: "#b9b2d6", grid: { stroke: "#3a316644" }, ticks: { stroke: "#3a3166" } };
  return { title, width, height: 180, series: [{}, ...lines], axes: [axis, { ...axis, size: 60 }], legend: { show: false },
    cursor: { show: true }, scales: { y: { range: (_chart, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.15)] } } };
}

function LiveChart({ chart, data, version }) {
  const box = useRef(null);
  const drawn = useRef(null);
  useEffect(() => {
    const series = data.series(chart.figure, chart.rate);
    if (drawn.current && drawn.current.series.length === series.length) drawn.current.setData(series);
    else {
      drawn.current?.destroy();
      drawn.current = new Chart(options(chart.title, data.nodes, box.current.clientWidth), series, box.current);
    }
  }, [version]);
  const value = data.latest(chart.figure, chart.rate);
  return html`<figure class="chart"><div ref=${box}></div>
    <figcaption><span class="hidden-visually">${chart.title}</span><b data-figure=${chart.figure}>${value.toFixed(value < 10 ? 2 : 0)}</b></figcaption></figure>`;
}

function Rooms({ rooms, chosen, onChoose }) {
  return html`<section class="rooms"><h2>Rooms</h2><table><thead><tr><th>Room</th><th>Name</th><th>Online</th><th>Seated</th></tr></thead>
    <tbody>${rooms.map((room) => html`<tr key=${room.room_id} class=${room.room_id === chosen ? "chosen" : ""}>
      <td><button class="plain link" onClick=${() => onChoose(room.room_id)}>${room.room_id}</button></td><td dir="auto">${room.name ?? room.settings?.name}</td>
      <td data-room-online=${room.room_id}>${room.online}</td><td>${room.seated ?? ""}</td></tr>`)}</tbody></table></section>`;
}

function Dashboard({ data }) {
  const [version, next] = useReducer((count) => count + 1, 0);
  const [problem, setProblem] = useState(null);
  const [roomId, setRoomId] = useState(null);
  useEffect(() => {
    let stopped = false;
    const turn = async () => {
      await data.refresh().then(() => setProblem(null), (error) => setProblem(error.message));
      if (stopped) return;
      next();
      setTimeout(turn, EVERY_MS);
    };
    turn();
    return () => { stopped = true; };
  }, [data]);
  return html`<main class="console"><header><h1>FlyLive console</h1><span class="quiet">${data.nodes.length} node(s)</span></header>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <section class="nodes">${data.nodes.map((node) => html`<article key=${node.node} class=${node.draining ? "node draining" : "node"}>
      <b>${node.node}</b> <span class="quiet">${node.address}</span> ${node.draining && html`<span>draining</span>`}</article>`)}</section>
    <section class="charts">${CHARTS.map((chart) => html`<${LiveChart} key=${chart.figure} chart=${chart} data=${data} version=${version} />`)}</section>
    <div class="lower"><${Rooms} rooms=${data.rooms} chosen=${roomId} onChoose=${setRoomId} />
      ${roomId && html`<${RoomInspector} key=${roomId} data=${data} roomId=${roomId} onClose=${() => setRoomId(null)} />`}</div></main>`;
}

function Door({ onKey }) {
  const [key, setKey] = useState("");
  const submit = (event) => { event.preventDefault(); onKey(key.trim()); };
  return html`<main class="door"><h1>FlyLive console</h1><form onSubmit=${submit}>
    <label>Service key<input type="password" autocomplete="off" value=${key} required onInput=${(event) => setKey(event.target.value)} /></label>
    <button class="primary">Open</button></form></main>`;
}

function App() {
  const kept = sessionStorage.getItem("service-key");
  const [data, setData] = useState(kept ? new ConsoleData(kept) : null);
  const open = (given) => {
    sessionStorage.setItem("service-key", given);
    setData(new ConsoleData(given));
  };
  return data ? html`<${Dashboard} data=${data} />` : html`<${Door} onKey=${open} />`;
}

render(html`<${App} />`, document.body);
