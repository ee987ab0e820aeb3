// The figures of all nodes over time, one chart each with one line per node.
import { html, useEffect, useRef } from "../vendor/ui.js";
import Chart from "../vendor/chart.js";

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

const NARROW_PIXELS = 260;

function options(nodes, width) {
  const narrow = width < NARROW_PIXELS;
  const lines = nodes.map((node, index) => ({ label: node.node, stroke: STROKES[index % STROKES.length], width: 2, points: { show: false } }));
  const axis = { stroke: "#b9b2d6", grid: { stroke: "#3a316644" }, ticks: { stroke: "#3a3166" } };
  return { width, height: narrow ? 90 : 150, series: [{}, ...lines], axes: [{ ...axis, show: !narrow }, { ...axis, size: narrow ? 42 : 60 }], legend: { show: false },
    cursor: { show: true }, scales: { y: { range: (_chart, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 0) * 1.15)] } } };
}

function LiveChart({ chart, data, version }) {
  const box = useRef(null);
  const drawn = useRef(null);
  useEffect(() => {
    const fit = () => drawn.current?.setSize({ width: box.current.clientWidth, height: drawn.current.height });
    addEventListener("resize", fit);
    return () => { removeEventListener("resize", fit); drawn.current?.destroy(); };
  }, []);
  useEffect(() => {
    const series = data.series(chart.figure, chart.rate);
    if (drawn.current?.series.length === series.length) drawn.current.setData(series);
    else {
      drawn.current?.destroy();
      drawn.current = new Chart(options(data.nodes, box.current.clientWidth), series, box.current);
    }
  }, [version]);
  const value = data.latest(chart.figure, chart.rate);
  return html`<figure class="chart"><figcaption><span>${chart.title}</span> <b data-figure=${chart.figure}>${Number.isInteger(value) || value >= 10 ? Math.round(value) : value.toFixed(2)}</b></figcaption>
    <div ref=${box} aria-hidden="true"></div></figure>`;
}

export function Charts({ data, version }) {
  return html`<section class="charts" aria-label="Figures">${CHARTS.map((chart) => html`<${LiveChart} key=${chart.figure} chart=${chart} data=${data} version=${version} />`)}</section>`;
}
