// Draws JSON Schema as something a person reads: one row per field, references opened in place.
import { html } from "../vendor/ui.js";

export function resolve(schema, root) {
  if (!schema?.$ref) return schema ?? {};
  return schema.$ref.replace("#/", "").split("/").reduce((place, part) => place?.[decodeURIComponent(part).replaceAll("~1", "/")], root) ?? {};
}

export function typeOf(schema, root) {
  const plain = resolve(schema, root);
  if (plain.const !== undefined) return JSON.stringify(plain.const);
  if (plain.enum) return plain.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = plain.anyOf ?? plain.oneOf;
  if (choices) return choices.map((choice) => typeOf(choice, root)).join(" | ");
  if (plain.type === "array") return plain.items ? `[${typeOf(plain.items, root)}]` : "[]";
  return Array.isArray(plain.type) ? plain.type.join(" | ") : plain.type ?? "any";
}

function bounds(plain) {
  const notes = [];
  if (plain.minimum !== undefined || plain.maximum !== undefined) notes.push(`${plain.minimum ?? "…"} to ${plain.maximum ?? "…"}`);
  if (plain.maxLength !== undefined) notes.push(`${plain.minLength ?? 0} to ${plain.maxLength} characters`);
  if (plain.maxItems !== undefined) notes.push(`at most ${plain.maxItems} items`);
  if (plain.default !== undefined) notes.push(`default ${JSON.stringify(plain.default)}`);
  return notes.join(", ");
}

const DEPTH_MAX = 3;

// The fields of an object and of the objects within, each by its path: rooms[].settings.name
function rowsOf(schema, root, hide, path = "", depth = 0) {
  const plain = resolve(schema, root);
  const names = Object.keys(plain.properties ?? {}).filter((name) => !hide.includes(name));
  return names.flatMap((name) => {
    const field = resolve(plain.properties[name], root);
    const row = { path: path + name, needed: depth > 0 || plain.required?.includes(name), type: typeOf(field, root), meaning: [field.description, bounds(field)].filter(Boolean).join(" · ") };
    const inner = resolve(field.items ?? (field.anyOf ?? [field]).find((choice) => resolve(choice, root).properties), root);
    if (!inner.properties || depth === DEPTH_MAX) return [row];
    return [row, ...rowsOf(inner, root, hide, `${path}${name}${field.items ? "[]" : ""}.`, depth + 1)];
  });
}

export function Fields({ schema, root, hide = [] }) {
  const plain = resolve(schema, root);
  const rows = rowsOf(plain, root, hide);
  if (rows.length === 0) return html`<p class="quiet">${plain.type === "object" || !plain.type ? "No fields." : typeOf(plain, root)}</p>`;
  return html`<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${rows.map((row) => html`<tr key=${row.path}>
    <td><code>${row.path}</code>${row.needed ? "" : html`<span class="quiet"> ?</span>`}</td><td>${row.type}</td><td class="quiet">${row.meaning}</td></tr>`)}</tbody></table>`;
}

// A body to start from: required fields with a value of the right type.
export function example(schema, root) {
  const plain = resolve(schema, root);
  if (plain.default !== undefined) return plain.default;
  if (plain.enum) return plain.enum[0];
  if (plain.anyOf ?? plain.oneOf) return example((plain.anyOf ?? plain.oneOf)[0], root);
  if (plain.type === "object" || plain.properties) {
    const names = Object.keys(plain.properties ?? {}).filter((name) => plain.required?.includes(name));
    return Object.fromEntries(names.map((name) => [name, example(plain.properties[name], root)]));
  }
  return { string: "", integer: plain.minimum ?? 1, number: plain.minimum ?? 1, boolean: true, array: [] }[plain.type] ?? null;
}
