"""What events do to the document. Total and deterministic: every node applies the same in the same order.

Nothing is decided here. An event that speaks of what is not there (a request that nobody knows) changes
nothing but the position, so that older and newer nodes can follow one stream.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from state import events as e
from state import limits
from state.room import Ban, Combo, Room, Seat, seats_of

Changes = dict[str, Any]


def evolve(room: Room, recorded: e.Recorded) -> Room:
    """The room after this event."""
    changes = _EFFECTS[type(recorded.event)](room, recorded.event, recorded)
    return replace(room, epoch=recorded.epoch, seq=recorded.seq, **changes)


def _room_updated(room: Room, event: e.RoomUpdated, recorded: e.Recorded) -> Changes:
    count = event.settings.seat_count
    seats = room.seats[:count] + seats_of(count)[len(room.seats) :]
    changes: Changes = {"settings": event.settings, "seats": seats}
    if event.password_hash is not None:
        changes["password_hash"] = event.password_hash
    if not event.settings.slow_mode_ms:
        changes["spoken"] = {}
    return changes


def _room_closed(room: Room, event: e.RoomClosed, recorded: e.Recorded) -> Changes:
    return {
        "closed_reason": event.reason,
        "seats": seats_of(len(room.seats)),
        "requests": (),
        "invites": (),
        "combos": (),
    }


def _owner_changed(room: Room, event: e.RoomOwnerChanged, recorded: e.Recorded) -> Changes:
    roles = {user: role for user, role in room.roles.items() if user != event.user_id}
    return {"owner_id": event.user_id, "roles": roles}


def _online(online: int, recorded: e.Recorded, room: Room) -> Changes:
    if online:
        return {"online": online, "idle_since": None}
    since = recorded.at if room.idle_since is None else room.idle_since
    return {"online": 0, "idle_since": since}


def _member_joined(room: Room, event: e.MemberJoined, recorded: e.Recorded) -> Changes:
    return _online(room.online + 1, recorded, room)


def _member_left(room: Room, event: e.MemberLeft, recorded: e.Recorded) -> Changes:
    return _online(max(0, room.online - 1), recorded, room)


def _member_batch(room: Room, event: e.MemberBatch, recorded: e.Recorded) -> Changes:
    return _online(event.online, recorded, room)


def _seat_changed(room: Room, event: e.SeatChanged, recorded: e.Recorded) -> Changes:
    seats = list(room.seats)
    for shown in event.seats:
        if shown.index >= len(seats):
            continue
        away_since = None
        if shown.away:
            before = seats[shown.index].away_since
            away_since = recorded.at if before is None else before
        self_muted = shown.mic is not None and shown.mic.self_muted
        seats[shown.index] = Seat(shown.index, shown.locked, shown.muted, shown.user, self_muted, away_since)
    changes: Changes = {"seats": tuple(seats)}
    if event.cooldowns:
        running = {user: until for user, until in room.cooldowns.items() if until > recorded.at}
        changes["cooldowns"] = running | event.cooldowns
    return changes


def _requested(room: Room, event: e.SeatRequested, recorded: e.Recorded) -> Changes:
    return {"requests": (*room.requests, event.request)}


def _request_resolved(room: Room, event: e.SeatRequestResolved, recorded: e.Recorded) -> Changes:
    return {"requests": tuple(one for one in room.requests if one.request_id != event.request_id)}


def _invited(room: Room, event: e.SeatInvited, recorded: e.Recorded) -> Changes:
    return {"invites": (*room.invites, event.invite)}


def _invite_resolved(room: Room, event: e.SeatInviteResolved, recorded: e.Recorded) -> Changes:
    return {"invites": tuple(one for one in room.invites if one.invite_id != event.invite_id)}


def _mic_changed(room: Room, event: e.MicChanged, recorded: e.Recorded) -> Changes:
    changes: Changes = {}
    if event.index is not None and event.index < len(room.seats):
        seat = room.seats[event.index]
        if seat.user is not None and seat.user.user_id == event.user_id:
            seats = list(room.seats)
            seats[event.index] = replace(seat, self_muted=event.self_muted)
            changes["seats"] = tuple(seats)
    if event.admin_muted:
        if event.until is not None or event.user_id not in room.mic_mutes:
            changes["mic_mutes"] = room.mic_mutes | {event.user_id: event.until}
    elif event.user_id in room.mic_mutes:
        changes["mic_mutes"] = _without(room.mic_mutes, event.user_id)
    return changes


def _unmute_asked(room: Room, event: e.MicUnmuteAsked, recorded: e.Recorded) -> Changes:
    return {}


def _without(users: dict[str, Any], user_id: str) -> dict[str, Any]:
    return {user: value for user, value in users.items() if user != user_id}


def _chat_message(room: Room, event: e.ChatMessage, recorded: e.Recorded) -> Changes:
    slow_mode_ms = room.settings.slow_mode_ms
    if not slow_mode_ms:
        return {}
    recent = {user: at for user, at in room.spoken.items() if at + slow_mode_ms > recorded.at}
    recent.pop(event.user.user_id, None)
    recent[event.user.user_id] = recorded.at
    while len(recent) > limits.SPOKEN_MAX:
        del recent[next(iter(recent))]
    return {"spoken": recent}


def _chat_deleted(room: Room, event: e.ChatDeleted, recorded: e.Recorded) -> Changes:
    return {}


def _chat_user_muted(room: Room, event: e.ChatUserMuted, recorded: e.Recorded) -> Changes:
    running = {user: until for user, until in room.chat_mutes.items() if until is None or until > recorded.at}
    if event.until == 0:
        return {"chat_mutes": _without(running, event.user_id)}
    return {"chat_mutes": running | {event.user_id: event.until}}


def _role_changed(room: Room, event: e.ModRoleChanged, recorded: e.Recorded) -> Changes:
    return {"roles": room.roles | {event.user_id: event.role}}


def _user_kicked(room: Room, event: e.ModUserKicked, recorded: e.Recorded) -> Changes:
    return {}


def _user_banned(room: Room, event: e.ModUserBanned, recorded: e.Recorded) -> Changes:
    running = {user: ban for user, ban in room.bans.items() if ban.until is None or ban.until > recorded.at}
    banned = Ban(until=event.until, reason=event.reason, by=recorded.by, at=recorded.at)
    return {"bans": running | {event.user_id: banned}}


def _user_unbanned(room: Room, event: e.ModUserUnbanned, recorded: e.Recorded) -> Changes:
    return {"bans": _without(room.bans, event.user_id)}


def _gift_sent(room: Room, event: e.GiftSent, recorded: e.Recorded) -> Changes:
    shown = event.combo
    if shown is None:
        return {}
    cost = event.total_cost
    others = []
    for combo in room.combos:
        if combo.combo_id == shown.combo_id:
            cost += combo.total_cost
        else:
            others.append(combo)
    counted = Combo(
        combo_id=shown.combo_id,
        sender_id=event.sender.user_id,
        gift_id=event.gift.gift_id,
        quantity=event.quantity,
        recipients=tuple(sorted(event.recipients)),
        count=shown.count,
        total_quantity=shown.total_quantity,
        total_cost=cost,
        ends_at=shown.ends_at,
    )
    return {"combos": (*others, counted)}


def _combo_ended(room: Room, event: e.GiftComboEnded, recorded: e.Recorded) -> Changes:
    return {"combos": tuple(combo for combo in room.combos if combo.combo_id != event.combo_id)}


_EFFECTS: Final[dict[type[e.Happening], Callable[[Room, Any, e.Recorded], Changes]]] = {
    e.RoomUpdated: _room_updated,
    e.RoomClosed: _room_closed,
    e.RoomOwnerChanged: _owner_changed,
    e.MemberJoined: _member_joined,
    e.MemberLeft: _member_left,
    e.MemberBatch: _member_batch,
    e.SeatChanged: _seat_changed,
    e.SeatRequested: _requested,
    e.SeatRequestResolved: _request_resolved,
    e.SeatInvited: _invited,
    e.SeatInviteResolved: _invite_resolved,
    e.MicChanged: _mic_changed,
    e.MicUnmuteAsked: _unmute_asked,
    e.ChatMessage: _chat_message,
    e.ChatDeleted: _chat_deleted,
    e.ChatUserMuted: _chat_user_muted,
    e.ModRoleChanged: _role_changed,
    e.ModUserKicked: _user_kicked,
    e.ModUserBanned: _user_banned,
    e.ModUserUnbanned: _user_unbanned,
    e.GiftSent: _gift_sent,
    e.GiftComboEnded: _combo_ended,
}
