// The way in: a token behind the # of the address opens the room; without one the page asks for a name or a token.
import { html, render, useState } from "../vendor/ui.js";
import { RoomClient } from "./client.js";
import { RoomPage } from "./page.js";
import { textsFor } from "./texts.js";

const roomId = location.pathname.split("/")[2];

function firstLanguage() {
  const chosen = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("language") ?? navigator.language;
  return chosen.startsWith("ar") ? "ar" : "en";
}

function Door({ texts, onToken }) {
  const [name, setName] = useState("");
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState(null);
  const visit = async (event) => {
    event.preventDefault();
    const answer = await fetch(`/room/${roomId}/visitor`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name }) });
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) onToken(body.data.token);
    else setProblem(texts.token_help);
  };
  const paste = (event) => {
    event.preventDefault();
    onToken(token.trim());
  };
  return html`<main class="door" dir=${texts.direction} lang=${texts.lang}>
    <h1>${texts.title} ${roomId}</h1>
    ${document.body.dataset.visitors === "yes" && html`<form onSubmit=${visit}><label>${texts.name}<input value=${name} maxlength="40" required dir="auto" onInput=${(event) => setName(event.target.value)} /></label>
      <button class="primary">${texts.enter}</button></form>`}
    <form onSubmit=${paste}><label>${texts.token}<input value=${token} required onInput=${(event) => setToken(event.target.value)} /></label>
      <button>${texts.enter}</button></form>
    <p class="quiet" role="status">${problem ?? texts.token_help}</p>
  </main>`;
}

function App() {
  const [language, setLanguage] = useState(firstLanguage());
  const [token, setToken] = useState(location.hash.slice(1));
  const [client, setClient] = useState(null);
  const texts = textsFor(language);
  document.documentElement.lang = language;
  document.documentElement.dir = texts.direction;
  const flip = () => {
    const other = language === "ar" ? "en" : "ar";
    localStorage.setItem("language", other);
    setLanguage(other);
  };
  if (!token) return html`<${Door} texts=${texts} onToken=${(given) => { location.hash = given; setToken(given); }} />`;
  if (!client) {
    setClient(new RoomClient(roomId, token));
    return null;
  }
  return html`<${RoomPage} client=${client} texts=${texts} onLanguage=${flip} />`;
}

render(html`<${App} />`, document.body);
