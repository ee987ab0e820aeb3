// The room as a client sees it: a snapshot, and the events that follow it. Pure: the same input gives the same room,
// and a snapshot with its events applied always equals a fresh snapshot.

const CHAT_KEPT = 200;

export function fromSnapshot(snapshot, you) {
  const combos = snapshot.combos.map((combo) => ({ ...combo, sender: { user_id: combo.sender_id }, gift: { gift_id: combo.gift_id } }));
  return { ...snapshot, invites: snapshot.my_invites, combos, members: {}, you, closed: null };
}

export function seatOf(room, userId) {
  return room.seats.find((seat) => seat.user?.user_id === userId) ?? null;
}

export function mine(room) {
  return seatOf(room, room.you.user_id);
}

function withSeats(room, changed) {
  const byIndex = new Map(changed.map((seat) => [seat.index, seat]));
  const kept = room.seats.filter((seat) => !byIndex.has(seat.index));
  const seats = [...kept, ...changed].sort((one, other) => one.index - other.index);
  const me = seats.find((seat) => seat.user?.user_id === room.you.user_id);
  const you = { ...room.you, seat_index: me ? me.index : null, can_publish: me?.mic?.can_publish ?? false };
  return { ...room, seats, you };
}

function withMic(room, body) {
  const { user_id, self_muted, admin_muted, can_publish } = body;
  const seat = seatOf(room, user_id);
  return seat ? withSeats(room, [{ ...seat, mic: { self_muted, admin_muted, can_publish } }]) : room;
}

function withCombo(room, gift) {
  if (!gift.combo) return room;
  const combo = { ...gift.combo, sender: gift.sender, gift: gift.gift };
  return { ...room, combos: [...room.combos.filter((other) => other.combo_id !== combo.combo_id), combo] };
}

const without = (list, key, value) => list.filter((item) => item[key] !== value);

const APPLY = {
  "room:updated": (room, body) => ({ ...room, settings: { ...room.settings, ...body.settings } }),
  "room:closed": (room, body) => ({ ...room, closed: body.reason ?? "closed" }),
  "room:owner_changed": (room, body) => ({ ...room, owner_id: body.user_id,
    you: { ...room.you, role: body.user_id === room.you.user_id ? "owner" : room.you.role === "owner" ? "admin" : room.you.role } }),
  "room:stats": (room, body) => ({ ...room, online: body.online }),
  "member:joined": (room, body) => ({ ...room, members: { ...room.members, [body.user.user_id]: body.user } }),
  "member:left": (room, body) => {
    const { [body.user_id]: _gone, ...members } = room.members;
    return { ...room, members };
  },
  "member:batch": (room, body) => ({ ...room, online: body.online }),
  "seat:changed": (room, body) => withSeats(room, body.seats),
  "seat:requested": (room, body) => ({ ...room,
    requests: [...without(room.requests, "request_id", body.request.request_id), body.request] }),
  "seat:request_resolved": (room, body) => ({ ...room, requests: without(room.requests, "request_id", body.request_id) }),
  "seat:invited": (room, body) => ({ ...room,
    invites: [...without(room.invites, "invite_id", body.invite.invite_id), body.invite] }),
  "seat:invite_resolved": (room, body) => ({ ...room, invites: without(room.invites, "invite_id", body.invite_id) }),
  "mic:changed": withMic,
  "chat:message": (room, body) => ({ ...room, chat: [...room.chat, body].slice(-CHAT_KEPT) }),
  "chat:deleted": (room, body) => ({ ...room, chat: without(room.chat, "message_id", body.message_id) }),
  "mod:role_changed": (room, body) => withRole(room, body.user_id, body.role),
  "gift:sent": withCombo,
  "gift:combo_ended": (room, body) => ({ ...room, combos: without(room.combos, "combo_id", body.combo_id) }),
};

function withRole(room, userId, role) {
  const you = userId === room.you.user_id ? { ...room.you, role } : room.you;
  const seats = room.seats.map((seat) => seat.user?.user_id === userId ? { ...seat, user: { ...seat.user, role } } : seat);
  return { ...room, you, seats };
}

// The next room after one event. Events of the past (a replay that overlaps) change nothing; the lossy lane has no seq.
export function evolve(room, name, body) {
  if (body.seq !== undefined && body.seq <= room.seq) return room;
  const apply = APPLY[name];
  const next = apply ? apply(room, body) : room;
  return body.seq === undefined ? next : { ...next, seq: body.seq };
}
