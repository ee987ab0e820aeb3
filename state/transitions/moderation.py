"""Moderation: roles, kicks and bans."""

from typing import Any

from state import limits
from state.commands import ModBan, ModKick, ModListBans, ModSetRole, ModUnban
from state.events import Event, ModRoleChanged, ModUserBanned, ModUserKicked, ModUserUnbanned
from state.identity import Actor, Role
from state.passwords import matches
from state.rejections import Code, Rejection
from state.room import Room, Seat, is_admin, role_of, seat_of
from state.transitions.context import Context, Outcome, decided, is_present, refuse_target, target_role
from state.transitions.places import cancel_for_user, changed, emptied, with_role

_PAGE = 100


def is_banned(room: Room, user_id: str, now: int) -> bool:
    """Whether the user is kept out now."""
    ban = room.bans.get(user_id)
    return ban is not None and (ban.until is None or ban.until > now)


def admit(room: Room, actor: Actor, password: str | None, now: int) -> Rejection | None:
    """Whether this user may join, as far as the document knows; the audience counts the places."""
    if room.closed_reason is not None:
        return Rejection(Code.ROOM_CLOSED)
    if actor.system:
        return None
    ban = room.bans.get(actor.user_id)
    if ban is not None and is_banned(room, actor.user_id, now):
        return Rejection(
            Code.BANNED,
            retry_after_ms=None if ban.until is None else ban.until - now,
            details={"reason": ban.reason},
        )
    role = role_of(room, actor)
    if role == "guest" and room.settings.guest_policy == "deny":
        return Rejection(Code.FORBIDDEN, "guests are not let in")
    if not room.password_hash or is_admin(role) or seat_of(room, actor.user_id) is not None:
        return None
    if password is None:
        return Rejection(Code.PASSWORD_REQUIRED)
    return None if matches(password, room.password_hash) else Rejection(Code.PASSWORD_WRONG)


def put_out(room: Room, user_id: str) -> list[Event]:
    """What ends in the room when a user is put out."""
    events = cancel_for_user(room, user_id)
    seat = seat_of(room, user_id)
    if seat is not None:
        events.append(changed(room, "kick", (emptied(seat),)))
    return events


def role_changed(room: Room, user_id: str, role: Role) -> list[Event]:
    """The events that make a role known, also on the seat."""
    events: list[Event] = [ModRoleChanged(user_id, role)]
    seat: Seat | None = seat_of(room, user_id)
    if seat is not None:
        events.append(changed(room, "update", (with_role(seat, role),)))
    return events


def set_role(context: Context, command: ModSetRole) -> Outcome:
    """Appoint or dismiss an admin."""
    room, user_id = context.room, command.user_id
    refused = refuse_target(context, user_id, absent_too=context.actor.system or user_id in room.roles)
    if refused is not None:
        return refused
    if user_id == room.owner_id:
        return Rejection(Code.FORBIDDEN_TARGET)
    if user_id not in room.roles and len(room.roles) >= limits.ROLES_MAX:
        return Rejection(Code.CONFLICT, "too many users were appointed")
    known = is_present(context, user_id) or user_id in room.roles
    if known and target_role(context, user_id) == command.role:
        return decided()
    return decided(role_changed(room, user_id, command.role))


def kick(context: Context, command: ModKick) -> Outcome:
    """Put a lower user out of the room."""
    refused = refuse_target(context, command.user_id)
    if refused is not None:
        return refused
    events = put_out(context.room, command.user_id)
    return decided((*events, ModUserKicked(command.user_id, command.reason)))


def ban(context: Context, command: ModBan) -> Outcome:
    """Put a lower user out and keep it out; it need not be here."""
    room, user_id = context.room, command.user_id
    refused = refuse_target(context, user_id, absent_too=True)
    if refused is not None:
        return refused
    in_force = sum(1 for other in room.bans if is_banned(room, other, context.now))
    if user_id not in room.bans and in_force >= limits.BANS_MAX:
        return Rejection(Code.CONFLICT, "too many users are banned")
    until = None if command.duration_s is None else context.now + command.duration_s * 1000
    return decided((*put_out(room, user_id), ModUserBanned(user_id, until, command.reason)))


def unban(context: Context, command: ModUnban) -> Outcome:
    """Lift a ban; of one who is not banned there is nothing to lift."""
    if command.user_id not in context.room.bans:
        return decided()
    return decided((ModUserUnbanned(command.user_id),))


def list_bans(context: Context, command: ModListBans) -> Outcome:
    """Who is banned, in the order of the ids."""
    room = context.room
    after = command.cursor or ""
    users = sorted(user for user in room.bans if user > after and is_banned(room, user, context.now))
    bans: list[dict[str, Any]] = [
        {
            "user_id": user_id,
            "until": room.bans[user_id].until,
            "reason": room.bans[user_id].reason,
            "by": room.bans[user_id].by,
            "at": room.bans[user_id].at,
        }
        for user_id in users[:_PAGE]
    ]
    return decided(bans=bans, next_cursor=users[_PAGE - 1] if len(users) > _PAGE else None)
