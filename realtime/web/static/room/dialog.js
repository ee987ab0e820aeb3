// A dialog over the room: it takes the focus, keeps it among its own controls and gives it back; Escape, the cross and
// the ground behind it close it. The room behind stays alive, so that chat and seats are still read out.
import { html, useEffect, useRef } from "../vendor/ui.js";

const CONTROLS = "button:not(:disabled), input, select, textarea, a[href]";
const opened = [];

function keepInside(event, box) {
  const controls = [...box.querySelectorAll(CONTROLS)];
  const last = controls.length - 1;
  const at = controls.indexOf(document.activeElement);
  const leaves = at < 0 || (event.shiftKey ? at === 0 : at === last);
  if (!leaves) return;
  event.preventDefault();
  controls[event.shiftKey ? last : 0].focus();
}

export function Dialog({ title, texts, role = "dialog", beside, onClose, children }) {
  const box = useRef(null);
  const close = useRef(null);
  close.current = onClose;
  useEffect(() => {
    const before = document.activeElement;
    const here = box.current;
    const press = (event) => {
      if (opened.at(-1) !== here) return;
      if (event.key === "Escape") close.current();
      if (event.key === "Tab") keepInside(event, here);
    };
    opened.push(here);
    addEventListener("keydown", press);
    here.focus();
    return () => {
      removeEventListener("keydown", press);
      opened.splice(opened.indexOf(here), 1);
      before?.focus();
    };
  }, []);
  return html`<div class="behind" onClick=${onClose}></div>
    <section class="sheet" role=${role} aria-modal="true" aria-label=${title} tabindex="-1" ref=${box}>
      <header><h2 dir="auto">${title}</h2>${beside}<button class="plain" aria-label=${texts.close} onClick=${onClose}>✕</button></header>
      ${children}
    </section>`;
}
