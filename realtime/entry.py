"""May this user come in, and may it still be here? The room's own words, read from the node's copy of it.

Pure. The checks stand in the order in which a client learns of them.
"""

from __future__ import annotations

from state.events import Event, ModUserBanned, ModUserKicked, RoomClosed
from state.identity import Actor
from state.passwords import matches
from state.rejections import Code, Rejection
from state.room import Room, is_admin, role_of


def banned(room: Room, user_id: str, now_ms: int) -> Rejection | None:
    ban = room.bans.get(user_id)
    if ban is None or (ban.until is not None and ban.until <= now_ms):
        return None
    details = {"until": ban.until, "reason": ban.reason}
    return Rejection(Code.BANNED, details=details)


def may_enter(room: Room, actor: Actor, password: str | None, now_ms: int) -> Rejection | None:
    """Everything but the number of places, which only the audience can tell."""
    if room.closed_reason is not None:
        return Rejection(Code.ROOM_CLOSED)
    refusal = banned(room, actor.user_id, now_ms)
    if refusal is not None:
        return refusal
    role = role_of(room, actor)
    if role == "guest" and room.settings.guest_policy == "deny":
        return Rejection(Code.FORBIDDEN, "the room takes no guests")
    if room.password_hash and not is_admin(role):
        if password is None:
            return Rejection(Code.PASSWORD_REQUIRED)
        if not matches(password, room.password_hash):
            return Rejection(Code.PASSWORD_WRONG)
    return None


def excluded_by(event: Event, user_id: str) -> bool:
    """Whether this event ended the user's membership; who missed it can not go on as if it had not been."""
    if isinstance(event, ModUserKicked | ModUserBanned):
        return event.user_id == user_id
    return isinstance(event, RoomClosed)
