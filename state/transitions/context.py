"""What a decision looks at, and what it says."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from state.events import Event
from state.identity import RANK, Actor, Profile, Role
from state.rejections import Code, Rejection
from state.room import Message, Room, role_of, seat_of


class Facts(Struct, frozen=True):
    """What a decision needs to know from outside the document."""

    target: Profile | None = None  # the other user, when it is in the room
    message: Message | None = None  # the chat message that the command names
    password_hash: str | None = None  # of the password that the command sets


NO_FACTS: Final = Facts()


class Decision(Struct, frozen=True):
    """Yes: these events, and this data for the acknowledgement."""

    events: tuple[Event, ...] = ()
    reply: dict[str, Any] = {}


Outcome = Decision | Rejection


class Context(Struct, frozen=True):
    """One command's circumstances."""

    room: Room
    actor: Actor
    now: int
    facts: Facts
    role: Role

    def next_id(self, offset: int = 0) -> str:
        """An id for what the event at this offset creates: its place is unique for all time."""
        return f"{self.room.epoch}-{self.room.seq + 1 + offset}"


def decided(events: Sequence[Event] = (), **reply: Any) -> Decision:
    """A yes with its data."""
    return Decision(tuple(events), reply)


def target_role(context: Context, user_id: str) -> Role:
    """The role of another user: the document's word, else what it came in with."""
    room = context.room
    if user_id == room.owner_id:
        return "owner"
    appointed = room.roles.get(user_id)
    if appointed is not None:
        return appointed
    seat = seat_of(room, user_id)
    if seat is not None and seat.user is not None:
        return seat.user.role
    target = context.facts.target
    if target is not None and target.user_id == user_id:
        return role_of(room, Actor(user_id=user_id, role=target.role))
    return "member"


def is_present(context: Context, user_id: str) -> bool:
    """Whether another user is in the room; a kept seat counts."""
    target = context.facts.target
    return (target is not None and target.user_id == user_id) or seat_of(context.room, user_id) is not None


def is_below(context: Context, user_id: str) -> bool:
    """Whether the actor may act on a user: admins act on lower roles only, the owner is out of reach."""
    if context.actor.system:
        return True
    return RANK[target_role(context, user_id)] < RANK[context.role]


def refuse_target(context: Context, user_id: str, *, absent_too: bool = False) -> Rejection | None:
    """The refusals that come with every command on another user, in their order."""
    if user_id == context.actor.user_id:
        return Rejection(Code.CANNOT_TARGET_SELF)
    if not absent_too and not is_present(context, user_id):
        return Rejection(Code.TARGET_NOT_IN_ROOM)
    if not is_below(context, user_id):
        return Rejection(Code.FORBIDDEN_TARGET)
    return None
