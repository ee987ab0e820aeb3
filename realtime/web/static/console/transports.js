// The media transports of one room: who is connected for audio, how, and how well packets travel.
import { html, useState } from "../vendor/ui.js";
import { usePolling } from "./polling.js";

const sum = (parts, name) => parts.reduce((total, part) => total + part[name], 0);
const worst = (parts, name) => parts.reduce((most, part) => Math.max(most, part[name] ?? 0), 0);

// One direction of a transport in a few words; what nothing is sent through stays empty.
function Direction({ parts, packets }) {
  if (parts.length === 0) return html`<td class="flow quiet">–</td>`;
  const trip = worst(parts, "round_trip_ms");
  const notes = [`${packets} packets`, `${sum(parts, "lost")} lost`, `jitter ${worst(parts, "jitter_ms")} ms`, trip > 0 && `round trip ${trip} ms`];
  return html`<td class="flow">${notes.filter(Boolean).join(", ")}</td>`;
}

function Transport({ transport, names }) {
  const { producers, consumers } = transport;
  return html`<tr data-transport=${transport.user_id}><td class="user" dir="auto">${names.get(transport.user_id) ?? transport.user_id}</td>
    <td>${transport.protocol ?? "…"} <span class="quiet">${transport.dtls_state}</span></td>
    <${Direction} parts=${producers} packets=${sum(producers, "packets")} />
    <${Direction} parts=${consumers} packets=${sum(consumers, "packets")} /></tr>`;
}

export function Transports({ data, roomId, names }) {
  const [state, setState] = useState(null);
  usePolling(async (isOver) => {
    const found = await data.ask(`/v1/rooms/${roomId}/transports`).catch((error) => ({ problem: error.message }));
    if (!isOver()) setState(found);
  }, [data, roomId]);
  if (!state) return html`<p class="quiet">…</p>`;
  if (state.problem) return html`<p class="problem" role="status">${state.problem}</p>`;
  if (state.total === 0) return html`<p class="quiet">Nobody is connected for audio.</p>`;
  return html`<div class="wide"><table><thead><tr><th>User</th><th>Way</th><th>Sends</th><th>Hears</th></tr></thead>
    <tbody>${state.transports.map((transport) => html`<${Transport} key=${transport.transport_id} transport=${transport} names=${names} />`)}</tbody></table></div>
    ${state.total > state.transports.length && html`<p class="quiet">${state.transports.length} of ${state.total} transports.</p>`}`;
}
