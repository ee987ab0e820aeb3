// The REST part: one block per operation, with a form that sends the real request.
import { html, useState } from "../vendor/ui.js";
import { Fields, example, resolve } from "./schema.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

export function operationsOf(api) {
  return Object.entries(api.paths ?? {}).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => (
    { path, method, ...item[method], parameters: [...(item.parameters ?? []), ...(item[method].parameters ?? [])] })));
}

async function send(operation, values, body, key) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = { ...(key ? { authorization: `Bearer ${key}` } : {}) };
  for (const parameter of operation.parameters) {
    const value = values[parameter.name];
    if (!value) continue;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    if (parameter.in === "query") query.set(parameter.name, value);
    if (parameter.in === "header") headers[parameter.name] = value;
  }
  if (operation.requestBody) headers["content-type"] = "application/json";
  const answer = await fetch(path + (query.size ? `?${query}` : ""), { method: operation.method.toUpperCase(), headers, body: operation.requestBody ? body : undefined });
  return `${answer.status} ${answer.statusText}\n${await answer.text()}`;
}

function TryIt({ operation, api, credential }) {
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  const [values, setValues] = useState({});
  const [body, setBody] = useState(schema ? JSON.stringify(example(schema, api), null, 2) : "");
  const [result, setResult] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    setResult(await send(operation, values, body, credential).catch((error) => String(error)));
  };
  return html`<form class="try" onSubmit=${submit}>
    ${operation.parameters.map((parameter) => html`<label key=${parameter.name}>${parameter.name}${parameter.required ? "" : " ?"}
      <input required=${parameter.required} onInput=${(event) => setValues({ ...values, [parameter.name]: event.target.value })} /></label>`)}
    ${schema && html`<label>Body<textarea rows="6" spellcheck="false" value=${body} onInput=${(event) => setBody(event.target.value)}></textarea></label>`}
    <button class="primary">Send</button>${result && html`<pre data-testid="result">${result}</pre>`}</form>`;
}

const succeeds = ([status]) => status < "4";

// `names` in a text stand out.
const withCode = (text) => text.split("`").map((part, index) => index % 2 ? html`<code>${part}</code>` : part);

// What is inside the envelope; the envelope itself is the same for all.
function Answer({ response, api }) {
  const envelope = resolve(response.content?.["application/json"]?.schema, api);
  const data = envelope.properties?.data;
  return data ? html`<${Fields} schema=${data} root=${api} />` : null;
}

export function Operation({ operation, api, credential }) {
  const responses = Object.entries(operation.responses ?? {});
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  return html`<details class="operation" id=${`${operation.method}-${operation.path}`}><summary><b class=${`method ${operation.method}`}>${operation.method.toUpperCase()}</b>
    <code>${operation.path}</code> <span class="quiet">${operation.summary ?? ""}</span></summary>
    ${operation.description && html`<p>${withCode(operation.description)}</p>`}
    ${schema && html`<h4>Body</h4><${Fields} schema=${schema} root=${api} />`}
    ${responses.filter(succeeds).map(([status, response]) => html`<section key=${status}><h4>${status} <span class="quiet">${response.description}</span></h4>
      <${Answer} response=${response} api=${api} /></section>`)}
    <h4>Refusals</h4><ul class="refusals">${responses.filter((one) => !succeeds(one)).map(([status, response]) => html`<li key=${status}>${status} <span class="quiet">${response.description}</span></li>`)}</ul>
    <h4>Try it</h4><${TryIt} operation=${operation} api=${api} credential=${credential} /></details>`;
}
