"""What seats, requests and invites have in common: who may sit where, and what ends when somebody does."""

from collections.abc import Iterable

from msgspec import to_builtins
from msgspec.structs import replace

from state.events import (
    Event,
    Resolution,
    SeatCause,
    SeatChanged,
    SeatInviteResolved,
    SeatRequestResolved,
    SeatShown,
    Sitter,
)
from state.identity import Profile, Role
from state.room import OWNER_SEAT, Room, Seat, shown
from state.transitions.context import Context, is_below


def sitter_of(profile: Profile) -> Sitter:
    """A user as the one on a seat."""
    return Sitter(profile.user_id, profile.name, profile.avatar, profile.role)


def changed(room: Room, cause: SeatCause, seats: Iterable[Seat]) -> SeatChanged:
    """The event that says how these seats are now."""
    return SeatChanged(cause, tuple(shown(room, seat) for seat in seats))


def emptied(seat: Seat) -> Seat:
    """The seat without its sitter."""
    return replace(seat, user=None, self_muted=False, away_since=None)


def seated(seat: Seat, user: Sitter, *, self_muted: bool) -> Seat:
    """The seat with a new sitter."""
    return Seat(seat.index, seat.locked, seat.muted, user, self_muted, None)


def is_held(room: Room, index: int, but_for: str | None = None) -> bool:
    """Whether an invite holds the seat for somebody else."""
    return any(invite.index == index and invite.user_id != but_for for invite in room.invites)


def is_free_for(room: Room, seat: Seat, user_id: str) -> bool:
    """Whether this user could sit down there as far as the seat is concerned."""
    if seat.user is not None or seat.locked or is_reserved(room, seat.index, user_id):
        return False
    return not (room.invites and is_held(room, seat.index, but_for=user_id))


def is_reserved(room: Room, index: int, user_id: str) -> bool:
    """Seat 0 is the owner's."""
    return index == OWNER_SEAT and user_id != room.owner_id


def first_free(room: Room, user_id: str) -> Seat | None:
    """The lowest seat that this user could take."""
    return next((seat for seat in room.seats if is_free_for(room, seat, user_id)), None)


def one(seat: SeatShown) -> dict[str, object]:
    """A seat in an acknowledgement."""
    shown_seat: dict[str, object] = to_builtins(seat)
    return shown_seat


def cancel_for_user(
    room: Room, user_id: str, *, taken: int | None = None, accepted: str | None = None
) -> list[Event]:
    """What the user was waiting for ends; the invite to the seat it took, or the request, was accepted."""
    events: list[Event] = []
    for request in room.requests:
        if request.user.user_id == user_id:
            result: Resolution = "accepted" if request.request_id == accepted else "cancelled"
            events.append(SeatRequestResolved(request.request_id, user_id, result))
    for invite in room.invites:
        if invite.user_id == user_id:
            result = "accepted" if invite.index == taken else "cancelled"
            events.append(SeatInviteResolved(invite.invite_id, user_id, result))
    return events


def cancel_for_index(room: Room, index: int, *, requests_too: bool = True) -> list[Event]:
    """What waited for this seat ends."""
    events: list[Event] = [
        SeatRequestResolved(request.request_id, request.user.user_id, "cancelled")
        for request in room.requests
        if requests_too and request.index == index
    ]
    for invite in room.invites:
        if invite.index == index:
            events.append(SeatInviteResolved(invite.invite_id, invite.user_id, "cancelled"))
    return events


def may_act_on_sitter(context: Context, seat: Seat) -> bool:
    """Whether the actor may change the state of who sits there: itself, nobody, or a lower role."""
    if seat.user is None or seat.user.user_id == context.actor.user_id:
        return True
    return is_below(context, seat.user.user_id)


def with_role(seat: Seat, role: Role) -> Seat:
    """The seat with its sitter in another role."""
    return seat if seat.user is None else replace(seat, user=replace(seat.user, role=role))
