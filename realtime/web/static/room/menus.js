// What may be done with a seat, a person or a message: one list of choices per case, shown in one sheet.
import { html } from "../vendor/ui.js";
import { Dialog } from "./dialog.js";
import { mine } from "./room.js";

const RANK = { guest: 0, member: 1, admin: 2, owner: 3 };

export const moderates = (room) => RANK[room.you.role] >= RANK.admin;
const below = (room, user) => RANK[user.role ?? "member"] < RANK[room.you.role] && user.user_id !== room.owner_id;

function ownSeatChoices(room, seat, texts) {
  const muted = seat.mic?.self_muted;
  return [
    { text: muted ? texts.talk : texts.hush, command: "mic:set", fields: { muted: !muted } },
    { text: texts.leave, command: "seat:leave", fields: {}, danger: true },
  ];
}

function emptySeatChoices(room, seat, texts) {
  const seated = mine(room);
  const choices = [];
  if (!seat.locked || moderates(room)) {
    if (seated) choices.push({ text: texts.move_here, command: "seat:move", fields: { index: seat.index } });
    else if (room.settings.seat_mode === "request" && !moderates(room)) choices.push({ text: texts.request, command: "seat:request", fields: { index: seat.index } });
    else choices.push({ text: texts.take, command: "seat:take", fields: { index: seat.index } });
  }
  return choices;
}

function seatModeration(seat, texts) {
  return [
    { text: seat.locked ? texts.unlock : texts.lock, command: "seat:lock", fields: { index: seat.index, locked: !seat.locked } },
    { text: seat.muted ? texts.unmute_seat : texts.mute_seat, command: "seat:mute", fields: { index: seat.index, muted: !seat.muted } },
  ];
}

export function personChoices(room, user, texts) {
  if (user.user_id === room.you.user_id || !moderates(room) || !below(room, user)) return [];
  const id = { user_id: user.user_id };
  const seat = room.seats.find((other) => other.user?.user_id === user.user_id);
  const free = room.seats.find((other) => !other.user && other.index !== 0 && !other.locked);
  const choices = [];
  if (seat) {
    const muted = seat.mic?.admin_muted;
    choices.push({ text: muted ? texts.unmute_user : texts.mute_user, command: "mic:mute_user", fields: { ...id, muted: !muted } });
    choices.push({ text: texts.ask_unmute, command: "mic:ask_unmute", fields: id });
    choices.push({ text: texts.seat_kick, command: "seat:kick", fields: id });
  } else if (free) choices.push({ text: texts.invite, command: "seat:invite", fields: { ...id, index: free.index } });
  choices.push({ text: texts.mute_chat, command: "mod:mute_chat", fields: { ...id, muted: true } });
  if (room.you.role === "owner") {
    const admin = user.role === "admin";
    choices.push({ text: admin ? texts.make_member : texts.make_admin, command: "mod:set_role", fields: { ...id, role: admin ? "member" : "admin" } });
  }
  choices.push({ text: texts.kick, command: "mod:kick", fields: id, danger: true });
  choices.push({ text: texts.ban, command: "mod:ban", fields: id, danger: true });
  return choices;
}

export function seatChoices(room, seat, texts) {
  const own = seat.user?.user_id === room.you.user_id;
  const first = own ? ownSeatChoices(room, seat, texts) : seat.user ? personChoices(room, seat.user, texts) : emptySeatChoices(room, seat, texts);
  return moderates(room) ? [...first, ...seatModeration(seat, texts)] : first;
}

export function messageChoices(room, line, texts) {
  const own = line.user.user_id === room.you.user_id;
  const remove = own || moderates(room) ? [{ text: texts.delete, command: "chat:delete", fields: { message_id: line.message_id } }] : [];
  return [...remove, ...personChoices(room, line.user, texts)];
}

export function Menu({ title, choices, texts, onChoose, onClose }) {
  return html`<${Dialog} title=${title} texts=${texts} onClose=${onClose}>
    ${choices.map((choice) => html`<button key=${choice.text} class=${choice.danger ? "danger" : ""} data-command=${choice.command}
      onClick=${() => onChoose(choice)}>${choice.text}</button>`)}
  <//>`;
}
