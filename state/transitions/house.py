"""The room itself: its settings, its owner, its end."""

from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from state.commands import RoomClose, RoomTransfer, RoomUpdate
from state.events import Event, GiftComboEnded, RoomClosed, RoomOwnerChanged, RoomUpdated, Settings
from state.rejections import Code, Rejection
from state.room import Combo, Room, seat_of
from state.transitions.context import Context, Outcome, decided, refuse_target
from state.transitions.moderation import role_changed
from state.transitions.places import cancel_for_index, changed, emptied, with_role

_PLAIN = (
    "name",
    "theme",
    "background_url",
    "announcement",
    "privacy",
    "capacity",
    "seat_count",
    "seat_mode",
    "chat_mode",
    "slow_mode_ms",
    "guest_policy",
)


def update(context: Context, command: RoomUpdate) -> Outcome:
    """Change settings. Seats that are no more put their sitters off and end what waited for them."""
    room = context.room
    changes: dict[str, Any] = {
        name: value for name in _PLAIN if (value := getattr(command, name)) is not None
    }
    password_hash = None
    if command.password is not None:
        password_hash = context.facts.password_hash or ""
        changes["has_password"] = bool(password_hash)
    settings: Settings = replace(room.settings, **changes)
    events: list[Event] = []
    if settings.seat_count < len(room.seats):
        gone = room.seats[settings.seat_count :]
        for seat in gone:
            if seat.user is not None and seat.user.user_id == room.owner_id != context.actor.user_id:
                return Rejection(Code.FORBIDDEN_TARGET, "the owner sits on a seat that would go")
            events += cancel_for_index(room, seat.index)
        taken = [emptied(seat) for seat in gone if seat.user is not None]
        if taken:
            events.append(changed(room, "update", taken))
    if settings != room.settings or password_hash is not None:
        events.append(RoomUpdated(settings, password_hash))
    return decided(events, settings=to_builtins(settings))


def combo_ended(combo: Combo) -> GiftComboEnded:
    """The final figures of a combo."""
    return GiftComboEnded(
        combo_id=combo.combo_id,
        sender_id=combo.sender_id,
        gift_id=combo.gift_id,
        count=combo.count,
        total_quantity=combo.total_quantity,
        total_cost=combo.total_cost,
    )


def closing(room: Room, reason: str) -> list[Event]:
    """The events of a room's end."""
    return [*(combo_ended(combo) for combo in room.combos), RoomClosed(reason)]


def close(context: Context, command: RoomClose) -> Outcome:
    """Close the room for good."""
    return decided(closing(context.room, command.reason))


def transfer(context: Context, command: RoomTransfer) -> Outcome:
    """Make another user the owner; the former one stays as an admin."""
    room, user_id = context.room, command.user_id
    if user_id == room.owner_id:
        return Rejection(Code.CANNOT_TARGET_SELF, "the user is the owner")
    refused = refuse_target(context, user_id, absent_too=context.actor.system)
    if refused is not None:
        return refused
    events: list[Event] = [RoomOwnerChanged(user_id)]
    seat = seat_of(room, user_id)
    if seat is not None:
        events.append(changed(room, "update", (with_role(seat, "owner"),)))
    return decided((*events, *role_changed(room, room.owner_id, "admin")))
