// The chat: what people say and what happens, newest at the end, and the box to say something oneself.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { Face } from "./seats.js";

const NEAR_END_PIXELS = 80;
const TEXT_MAX = 2000;

function Line({ line, texts, onOpen }) {
  if (line.notice) return html`<li class="notice" dir="auto">${line.notice}</li>`;
  const name = line.user.name || line.user.user_id;
  return html`<li class="message">
    <button class="plain" aria-label=${name} onClick=${() => onOpen(line)}><${Face} user=${line.user} /></button>
    <div><span class="author" dir="auto">${name}</span>
      ${line.user.role && line.user.role !== "member" && html`<span class="role">${texts[line.user.role] ?? ""}</span>`}
      <p dir="auto" class=${line.kind === "sticker" ? "sticker" : ""}>${line.text}</p></div>
  </li>`;
}

export function Chat({ lines, texts, onOpen }) {
  const list = useRef(null);
  useEffect(() => {
    const box = list.current;
    if (box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END_PIXELS * 3) box.scrollTop = box.scrollHeight;
  }, [lines]);
  return html`<ul class="chat" ref=${list} role="log" aria-label=${texts.chat} tabindex="0">
    ${lines.map((line) => html`<${Line} key=${line.message_id ?? line.key} line=${line} texts=${texts} onOpen=${onOpen} />`)}
  </ul>`;
}

export function ChatBox({ texts, onSend }) {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (!text.trim()) return;
    onSend(text.trim());
    setText("");
  };
  return html`<form class="chat-box" onSubmit=${submit}>
    <input value=${text} maxlength=${TEXT_MAX} dir="auto" aria-label=${texts.say} placeholder=${texts.say}
      onInput=${(event) => setText(event.target.value)} />
    <button class="primary" disabled=${!text.trim()}>${texts.send}</button>
  </form>`;
}
