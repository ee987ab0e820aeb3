"""The room document: all that a room is, except who listens and what was said.

Small, immutable, and the same on every node that stands at the same epoch and sequence number. It is
rewritten by every commit, so nothing in it may grow without a bound. Listeners live in the audience, chat in
its own log; both would make the document large without taking part in any decision about seats.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, to_builtins

from state import limits
from state.events import ChatMessage, Invite, Mic, Recorded, Request, SeatShown, Settings, Sitter
from state.identity import RANK, Actor, Profile, Role

Invites = tuple[Invite, ...]
Requests = tuple[Request, ...]


class Seat(Struct, frozen=True, array_like=True):
    """A seat and its sitter. `muted` stays with the seat, `self_muted` is the sitter's own."""

    index: int
    locked: bool = False
    muted: bool = False
    user: Sitter | None = None
    self_muted: bool = False
    away_since: int | None = None


class Combo(Struct, frozen=True, array_like=True):
    """Equal gifts in quick succession: one sender, gift, quantity and set of recipients."""

    combo_id: str
    sender_id: str
    gift_id: str
    quantity: int
    recipients: tuple[str, ...]
    count: int
    total_quantity: int
    total_cost: int
    ends_at: int


class Ban(Struct, frozen=True, array_like=True):
    """Who is kept out until when (None: for good)."""

    until: int | None
    reason: str
    by: str | None
    at: int


class Room(Struct, frozen=True, array_like=True):
    """The document. Mutes and cooldowns go from user id to the time they end; None there is for good."""

    room_id: str
    owner_id: str
    settings: Settings
    seats: tuple[Seat, ...]
    created_at: int
    epoch: str = ""
    seq: int = 0
    requests: Requests = ()
    invites: Invites = ()
    combos: tuple[Combo, ...] = ()
    roles: dict[str, Role] = {}
    bans: dict[str, Ban] = {}
    chat_mutes: dict[str, int | None] = {}
    mic_mutes: dict[str, int | None] = {}
    cooldowns: dict[str, int] = {}
    spoken: dict[str, int] = {}
    online: int = 0
    idle_since: int | None = None
    password_hash: str = ""
    closed_reason: str | None = None
    away_grace_ms: int = limits.AWAY_GRACE_MS_DEFAULT
    idle_close_ms: int = limits.IDLE_CLOSE_MS_DEFAULT


class Message(Struct, frozen=True):
    """A kept chat message, with its place."""

    seq: int
    at: int
    message_id: str
    user: Profile
    text: str
    kind: str
    reply_to: str | None = None
    mentions: tuple[str, ...] | None = None


OWNER_SEAT: Final = 0


def seats_of(count: int) -> tuple[Seat, ...]:
    """A row of empty seats."""
    return tuple(Seat(index) for index in range(count))


def role_of(room: Room, actor: Actor) -> Role:
    """The role that counts: the document's word goes over the token's."""
    if actor.system or actor.user_id == room.owner_id:
        return "owner"
    appointed = room.roles.get(actor.user_id)
    if appointed is not None:
        return appointed
    return "admin" if actor.role == "owner" else actor.role


def profile_of(room: Room, actor: Actor) -> Profile:
    """How others see the actor in this room."""
    return Profile(
        user_id=actor.user_id,
        name=actor.name,
        avatar=actor.avatar,
        role=role_of(room, actor),
        level=actor.level,
        vip=actor.vip,
    )


def is_admin(role: Role) -> bool:
    """Whether a role sees what concerns admins."""
    return RANK[role] >= RANK["admin"]


def seat_of(room: Room, user_id: str) -> Seat | None:
    """The seat a user sits on."""
    for seat in room.seats:
        if seat.user is not None and seat.user.user_id == user_id:
            return seat
    return None


def is_concerned(room: Room, user_id: str) -> bool:
    """Whether the user sits, or waits for a seat."""
    return (
        seat_of(room, user_id) is not None
        or any(invite.user_id == user_id for invite in room.invites)
        or any(request.user.user_id == user_id for request in room.requests)
    )


def is_mic_muted(room: Room, user_id: str) -> bool:
    """Whether an admin muted this user, wherever it sits."""
    return user_id in room.mic_mutes


def can_publish(room: Room, user_id: str) -> bool:
    """Whether the user's audio may be heard: seated, here, and none of the three mutes."""
    seat = seat_of(room, user_id)
    if seat is None:
        return False
    return not (seat.self_muted or seat.muted or seat.away_since is not None or is_mic_muted(room, user_id))


def publishers(room: Room) -> frozenset[str]:
    """All users who may be heard now."""
    users = (seat.user.user_id for seat in room.seats if seat.user is not None)
    return frozenset(user_id for user_id in users if can_publish(room, user_id))


def shown(room: Room, seat: Seat) -> SeatShown:
    """A seat of this room as clients see it."""
    if seat.user is None:
        return SeatShown(seat.index, seat.locked, seat.muted, None, None, False)
    away = seat.away_since is not None
    admin_muted = seat.user.user_id in room.mic_mutes
    audible = not (seat.self_muted or admin_muted or seat.muted or away)
    mic = Mic(seat.self_muted, admin_muted, audible)
    return SeatShown(seat.index, seat.locked, seat.muted, seat.user, mic, away)


def you(room: Room, actor: Actor, permissions: Iterable[str]) -> dict[str, Any]:
    """What a join tells the user about itself."""
    seat = seat_of(room, actor.user_id)
    return {
        "user_id": actor.user_id,
        "role": role_of(room, actor),
        "permissions": sorted(permissions),
        "seat_index": None if seat is None else seat.index,
        "can_publish": can_publish(room, actor.user_id),
    }


def _combo_shown(combo: Combo) -> dict[str, Any]:
    return {
        "combo_id": combo.combo_id,
        "sender_id": combo.sender_id,
        "gift_id": combo.gift_id,
        "count": combo.count,
        "total_quantity": combo.total_quantity,
        "total_cost": combo.total_cost,
        "ends_at": combo.ends_at,
    }


def message_shown(room_id: str, message: Message) -> dict[str, Any]:
    """A message as its event's body was."""
    body: dict[str, Any] = to_builtins(message)
    for optional in ("reply_to", "mentions"):
        if body[optional] is None:
            del body[optional]
    return body | {"room_id": room_id, "by": message.user.user_id}


def message_of(recorded: Recorded, event: ChatMessage) -> Message:
    """The kept form of a chat event."""
    return Message(
        seq=recorded.seq,
        at=recorded.at,
        message_id=event.message_id,
        user=event.user,
        text=event.text,
        kind=event.kind,
        reply_to=event.reply_to,
        mentions=event.mentions,
    )


def snapshot(room: Room, viewer: Actor, chat: Iterable[Message] = ()) -> dict[str, Any]:
    """All that a client needs to show the room; what concerns admins only when the viewer is one."""
    admin = is_admin(role_of(room, viewer))
    return {
        "room_id": room.room_id,
        "epoch": room.epoch,
        "seq": room.seq,
        "settings": to_builtins(room.settings),
        "owner_id": room.owner_id,
        "seats": [to_builtins(shown(room, seat)) for seat in room.seats],
        "requests": [
            to_builtins(request)
            for request in room.requests
            if admin or request.user.user_id == viewer.user_id
        ],
        "my_invites": [to_builtins(invite) for invite in room.invites if invite.user_id == viewer.user_id],
        "combos": [_combo_shown(combo) for combo in room.combos],
        "online": room.online,
        "chat": [message_shown(room.room_id, message) for message in chat],
    }
