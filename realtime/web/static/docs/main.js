// The documentation page. Everything on it is read from what the running code says of itself.
import { html, render, useEffect, useState } from "../vendor/ui.js";
import { Operation, operationsOf } from "./operations.js";
import { QUICK_STARTS } from "./quickstarts.js";
import { Fields } from "./schema.js";

const SECTIONS = { start: "Quick starts", rest: "REST", commands: "Commands", events: "Events", errors: "Error codes", permissions: "Permissions" };
const SOURCES = { api: "/openapi.json", events: "/asyncapi.json", tables: "/docs/tables.json" };

async function load() {
  const answers = await Promise.all(Object.entries(SOURCES).map(async ([name, path]) => [name, await (await fetch(path)).json()]));
  return Object.fromEntries(answers);
}

function Messages({ title, messages, root, hide }) {
  return html`<h2 id=${title.toLowerCase()}>${title}</h2>${messages.map((message) => html`<details class="operation" key=${message.name}>
    <summary><code>${message.name}</code> <span class="quiet">${message.summary ?? ""}</span></summary>
    <${Fields} schema=${message.payload} root=${root} hide=${hide} /></details>`)}`;
}

function messagesOf(events, kind) {
  const channel = Object.values(events.components?.messages ?? {});
  return channel.filter((message) => message["x-kind"] === kind).sort((one, other) => one.name.localeCompare(other.name));
}

function Errors({ codes }) {
  return html`<h2 id="errors">Error codes</h2><table><thead><tr><th>Code</th><th>Retry</th><th>HTTP</th><th>Meaning</th></tr></thead><tbody>
    ${codes.map((code) => html`<tr key=${code.code}><td><code>${code.code}</code></td><td>${code.retry}</td><td>${code.status}</td><td class="quiet">${code.meaning}</td></tr>`)}</tbody></table>`;
}

function Permissions({ permissions }) {
  const roles = ["guest", "member", "admin", "owner"];
  return html`<h2 id="permissions">Who may do what</h2><table><thead><tr><th>Command</th>${roles.map((role) => html`<th key=${role}>${role}</th>`)}</tr></thead><tbody>
    ${permissions.map((row) => html`<tr key=${row.command}><td><code>${row.command}</code></td>${roles.map((role) => html`<td key=${role}>${row.roles.includes(role) ? "✓" : ""}</td>`)}</tr>`)}</tbody></table>`;
}

function Starts() {
  return html`<h2 id="start">Quick starts</h2>${QUICK_STARTS.map((start) => html`<details class="operation" key=${start.title}><summary>${start.title}</summary>
    <pre>${start.code.replaceAll("SERVER", location.origin)}</pre></details>`)}`;
}

function Docs() {
  const [pages, setPages] = useState(null);
  const [problem, setProblem] = useState(null);
  const [credential, setCredential] = useState("");
  useEffect(() => { load().then(setPages, (error) => setProblem(String(error))); }, []);
  if (!pages) return html`<main class="docs"><p role="status">${problem ?? "Loading…"}</p></main>`;
  return html`<main class="docs"><nav aria-label="Sections">${Object.entries(SECTIONS).map(([id, title]) => html`<a key=${id} href=${`#${id}`}>${title}</a>`)}
    <a href="/openapi.json">openapi.json</a><a href="/asyncapi.json">asyncapi.json</a><a href="/flylive.d.ts">TypeScript</a></nav>
    <article><h1>FlyLive Realtime</h1><${Starts} />
    <h2 id="rest">REST</h2><label class="credential">Bearer for the requests below<input type="password" autocomplete="off" value=${credential} onInput=${(event) => setCredential(event.target.value)} /></label>
    ${operationsOf(pages.api).map((operation) => html`<${Operation} key=${operation.method + operation.path} operation=${operation} api=${pages.api} credential=${credential} />`)}
    <${Messages} title="Commands" messages=${messagesOf(pages.events, "command")} root=${pages.events} hide=${["type"]} />
    <${Messages} title="Events" messages=${messagesOf(pages.events, "event")} root=${pages.events} hide=${["type"]} />
    <${Errors} codes=${pages.tables.codes} /><${Permissions} permissions=${pages.tables.permissions} /></article></main>`;
}

render(html`<${Docs} />`, document.body);
