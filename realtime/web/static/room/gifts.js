// Gifts: the sheet to choose one, the flights over the room when one was sent, and the counter of a running combo.
import { html, useEffect, useState } from "../vendor/ui.js";
import { Dialog } from "./dialog.js";
import { Face } from "./seats.js";

const QUANTITIES = [1, 10, 66, 99];
const SIGNS = { rose: "🌹", heart: "💖", crown: "👑", rocket: "🚀" };

export const signOf = (gift) => SIGNS[gift.gift_id] ?? "🎁";

export function GiftSheet({ room, catalogue, wallet, texts, onSend, onClose }) {
  const [giftId, setGiftId] = useState(catalogue[0]?.gift_id);
  const [quantity, setQuantity] = useState(1);
  const seated = room.seats.filter((seat) => seat.user && seat.user.user_id !== room.you.user_id).map((seat) => seat.user);
  const [to, setTo] = useState(seated[0]?.user_id ?? "seated");
  const gift = catalogue.find((candidate) => candidate.gift_id === giftId);
  const send = () => onSend(gift, quantity, to);
  const purse = html`<span class="purse" aria-label=${texts.balance}>🪙 <b data-testid="coins">${wallet?.coins ?? "–"}</b></span>`;
  return html`<${Dialog} title=${texts.gifts} texts=${texts} beside=${purse} onClose=${onClose}>
    ${catalogue.length === 0 && html`<p class="quiet">${texts.no_gifts}</p>`}
    <div class="gift-grid" role="group" aria-label=${texts.gifts}>
      ${catalogue.map((candidate) => html`<button key=${candidate.gift_id} aria-pressed=${candidate.gift_id === giftId}
        class=${`gift ${candidate.gift_id === giftId ? "chosen" : ""}`} onClick=${() => setGiftId(candidate.gift_id)}>
        <span class="sign" aria-hidden="true">${signOf(candidate)}</span><span dir="auto">${candidate.name}</span><span class="price">🪙 ${candidate.price}</span>
      </button>`)}
    </div>
    <div class="gift-row">
      <label>${texts.to} <select value=${to} onChange=${(event) => setTo(event.target.value)}>
        ${seated.map((user) => html`<option key=${user.user_id} value=${user.user_id}>${user.name || user.user_id}</option>`)}
        <option value="seated">${texts.everyone}</option></select></label>
      <label>${texts.quantity} <select value=${quantity} onChange=${(event) => setQuantity(Number(event.target.value))}>
        ${QUANTITIES.map((number) => html`<option key=${number} value=${number}>${number}</option>`)}</select></label>
      <button class="primary" data-testid="send-gift" disabled=${!gift} onClick=${send}>${texts.send}</button>
    </div>
  <//>`;
}

function ComboTimer({ combo, clock }) {
  const [now, setNow] = useState(clock());
  useEffect(() => {
    const timer = setInterval(() => setNow(clock()), 200);
    return () => clearInterval(timer);
  }, []);
  const left = Math.max(0, combo.ends_at - now);
  return html`<progress max="3000" value=${left} aria-hidden="true"></progress>`;
}

export function Combos({ combos, texts, clock }) {
  return html`<ul class="combos" aria-live="polite">
    ${combos.filter((combo) => combo.sender && combo.gift).map((combo) => html`<li key=${combo.combo_id} class="combo" data-testid="combo">
      <${Face} user=${combo.sender} /><span class="sign" aria-hidden="true">${signOf(combo.gift)}</span>
      <span><b key=${combo.count} class="count" data-testid="combo-count">×${combo.count}</b> <span class="quiet">${texts.combo}</span>
      <${ComboTimer} combo=${combo} clock=${clock} /></span></li>`)}
  </ul>`;
}

export function Flights({ flights }) {
  return html`<div class="flights" aria-hidden="true">
    ${flights.map((flight) => html`<span key=${flight.key} class=${`flight lane-${flight.lane} ${flight.total >= 1000 ? "grand" : ""}`}>${flight.sign}</span>`)}
  </div>`;
}
