// The larger sheets: requests and invites, the room's settings, the join link with its QR code.
import { html, useState } from "../vendor/ui.js";
import { Dialog } from "./dialog.js";
import { Face } from "./seats.js";

export function Requests({ room, texts, onAnswer, onClose }) {
  return html`<${Dialog} title=${texts.requests} texts=${texts} onClose=${onClose}>
    <ul class="people">${room.requests.map((request) => html`<li key=${request.request_id}>
      <${Face} user=${request.user} /><span dir="auto">${request.user.name || request.user.user_id}</span>
      <button class="primary" onClick=${() => onAnswer(request, true)}>${texts.accept}</button>
      <button onClick=${() => onAnswer(request, false)}>${texts.reject}</button></li>`)}</ul>
  <//>`;
}

// Going away from it is an answer too: whoever invites shall not wait.
export function Invite({ invite, texts, onAnswer }) {
  return html`<${Dialog} role="alertdialog" title=${`${texts.invite_text} ${invite.index + 1}`} texts=${texts} onClose=${() => onAnswer(invite, false)}>
    <div class="gift-row"><button class="primary" data-testid="accept-invite" onClick=${() => onAnswer(invite, true)}>${texts.accept}</button>
      <button onClick=${() => onAnswer(invite, false)}>${texts.reject}</button></div>
  <//>`;
}

export function People({ members, room, texts, onOpen, onClose }) {
  return html`<${Dialog} title=${texts.people} texts=${texts} onClose=${onClose}>
    <ul class="people">${members.map((user) => html`<li key=${user.user_id}>
      <button class="plain person" onClick=${() => onOpen(user)}><${Face} user=${user} /><span dir="auto">${user.name || user.user_id}</span>
      <span class="quiet">${user.user_id === room.you.user_id ? texts.you : texts[user.role] ?? ""}</span></button></li>`)}</ul>
  <//>`;
}

export function Settings({ room, texts, onSave, onCloseRoom, onClose }) {
  const [name, setName] = useState(room.settings.name ?? "");
  const [announcement, setAnnouncement] = useState(room.settings.announcement ?? "");
  const [mode, setMode] = useState(room.settings.seat_mode);
  const save = (event) => {
    event.preventDefault();
    onSave({ name, announcement, seat_mode: mode });
  };
  return html`<${Dialog} title=${texts.settings} texts=${texts} onClose=${onClose}>
    <form class="settings" onSubmit=${save}>
      <label>${texts.room_name}<input value=${name} maxlength="80" dir="auto" onInput=${(event) => setName(event.target.value)} /></label>
      <label>${texts.announcement}<textarea dir="auto" maxlength="500" onInput=${(event) => setAnnouncement(event.target.value)} value=${announcement}></textarea></label>
      <label>${texts.seat_mode}<select value=${mode} onChange=${(event) => setMode(event.target.value)}>
        <option value="free">${texts.free}</option><option value="request">${texts.by_request}</option></select></label>
      <button class="primary">${texts.save}</button>
      ${room.you.role === "owner" && html`<button type="button" class="danger" onClick=${onCloseRoom}>${texts.close_room}</button>`}
    </form>
  <//>`;
}

export function Share({ roomId, texts, onClose }) {
  const link = `${location.origin}/room/${roomId}`;
  return html`<${Dialog} title=${texts.share} texts=${texts} onClose=${onClose}>
    <img class="qr" src=${`/room/${roomId}/qr.svg`} alt=${link} width="220" height="220" />
    <p><a href=${link}>${link}</a></p>
  <//>`;
}
