// The ring of seats: the owner's seat large, the others around it, each with its halo, badge and menu.
import { html } from "../vendor/ui.js";

const HUES = 8;

export function hueOf(userId) {
  let sum = 0;
  for (const letter of userId) sum = (sum * 31 + letter.codePointAt(0)) % 997;
  return sum % HUES;
}

export function Face({ user, large }) {
  const initials = [...(user.name || user.user_id)].slice(0, 2).join("").toUpperCase();
  return html`<span class=${`face hue-${hueOf(user.user_id)} ${large ? "large" : ""}`} aria-hidden="true">${initials}</span>`;
}

function label(seat, speaking, texts) {
  const place = `${texts.seat} ${seat.index + 1}`;
  if (!seat.user) return `${place}: ${seat.locked ? texts.locked : texts.empty}`;
  const notes = [seat.away && texts.away, !seat.mic?.can_publish && texts.muted, speaking && texts.speaking].filter(Boolean);
  return `${place}: ${[seat.user.name || seat.user.user_id, ...notes].join(", ")}`;
}

function Seat({ seat, room, level, texts, onOpen }) {
  const speaking = level > 0;
  const muted = seat.user && !seat.mic?.can_publish;
  const classes = ["seat", seat.index === 0 && "first", seat.user && "taken", seat.locked && "locked", seat.away && "away",
    speaking && "speaking"].filter(Boolean).join(" ");
  const name = seat.user ? seat.user.name || seat.user.user_id : "";
  return html`<li class=${classes}>
    <button class="plain seat-button" aria-label=${label(seat, speaking, texts)} onClick=${() => onOpen(seat)}>
      <span class="halo" style=${{ "--level": speaking ? Math.min(1, level / 60 + 0.3) : 0 }}></span>
      ${seat.user ? html`<${Face} user=${seat.user} large />` : html`<span class="face vacant" aria-hidden="true">${seat.locked ? "🔒" : "+"}</span>`}
      ${muted && html`<span class="badge" aria-hidden="true">🔇</span>`}
      ${seat.user?.user_id === room.owner_id && html`<span class="crown" aria-hidden="true">👑</span>`}
    </button>
    <span class="seat-name" dir="auto">${name || (seat.muted ? "🔇" : seat.index + 1)}</span>
  </li>`;
}

export function Seats({ room, levels, texts, onOpen }) {
  return html`<ol class="seats" aria-label=${texts.seat}>
    ${room.seats.map((seat) => html`<${Seat} key=${seat.index} seat=${seat} room=${room} texts=${texts} onOpen=${onOpen}
      level=${seat.user && seat.mic?.can_publish ? levels.get(seat.user.user_id) ?? 0 : 0} />`)}
  </ol>`;
}
