"""Requests for seats and invites to them: first in first out, each answered exactly once."""

from msgspec import to_builtins

from state import limits
from state.commands import (
    SeatCancelInvite,
    SeatCancelRequest,
    SeatInvite,
    SeatListRequests,
    SeatRequest,
    SeatRespondInvite,
    SeatRespondRequest,
)
from state.events import (
    Invite,
    Request,
    SeatInvited,
    SeatInviteResolved,
    SeatRequested,
    SeatRequestResolved,
)
from state.rejections import Code, Rejection
from state.room import Room, Seat, profile_of, seat_of
from state.transitions.context import Context, Decision, Outcome, decided, is_present, refuse_target
from state.transitions.places import (
    cancel_for_user,
    changed,
    first_free,
    is_free_for,
    is_held,
    is_reserved,
    one,
    seated,
    sitter_of,
)


def request(context: Context, command: SeatRequest) -> Outcome:
    """Ask for a seat."""
    room, user_id = context.room, context.actor.user_id
    if not -1 <= command.index < len(room.seats):
        return Rejection(Code.SEAT_INDEX_INVALID)
    if seat_of(room, user_id) is not None:
        return Rejection(Code.ALREADY_SEATED)
    if command.index >= 0 and (room.seats[command.index].locked or is_reserved(room, command.index, user_id)):
        return Rejection(Code.SEAT_LOCKED)
    if any(waiting.user.user_id == user_id for waiting in room.requests):
        return Rejection(Code.REQUEST_EXISTS)
    if len(room.requests) >= limits.REQUESTS_MAX:
        return Rejection(Code.REQUEST_QUEUE_FULL)
    barred_until = room.cooldowns.get(user_id, 0)
    if barred_until > context.now:
        return Rejection(Code.SEAT_COOLDOWN, retry_after_ms=barred_until - context.now)
    asked = Request(
        request_id=context.next_id(),
        user=profile_of(room, context.actor),
        index=command.index,
        note=command.note,
        created_at=context.now,
        expires_at=context.now + limits.REQUEST_TTL_MS,
    )
    return decided(
        (SeatRequested(asked),),
        request_id=asked.request_id,
        position=len(room.requests) + 1,
        expires_at=asked.expires_at,
    )


def _open_request(room: Room, request_id: str) -> Request | None:
    return next((waiting for waiting in room.requests if waiting.request_id == request_id), None)


def _open_invite(room: Room, invite_id: str) -> Invite | None:
    return next((invite for invite in room.invites if invite.invite_id == invite_id), None)


def cancel_request(context: Context, command: SeatCancelRequest) -> Outcome:
    """Take back one's own request."""
    asked = _open_request(context.room, command.request_id)
    if asked is None or asked.user.user_id != context.actor.user_id:
        return Rejection(Code.REQUEST_NOT_FOUND)
    return decided((SeatRequestResolved(asked.request_id, asked.user.user_id, "cancelled"),))


def respond_request(context: Context, command: SeatRespondRequest) -> Outcome:
    """Accept: the user sits down where it wanted, or on the first free seat; the mic is its own to open."""
    room = context.room
    asked = _open_request(room, command.request_id)
    if asked is None or asked.expires_at <= context.now:
        return Rejection(Code.REQUEST_NOT_FOUND)
    user_id = asked.user.user_id
    if not command.accept:
        return decided((SeatRequestResolved(asked.request_id, user_id, "rejected"),))
    if not is_present(context, user_id):
        return Rejection(Code.TARGET_NOT_IN_ROOM)
    seat = _seat_for(context, asked, command.index)
    if isinstance(seat, Rejection):
        return seat
    event = changed(room, "accept", (seated(seat, sitter_of(asked.user), self_muted=True),))
    answered = cancel_for_user(room, user_id, taken=seat.index, accepted=asked.request_id)
    return Decision((*answered, event), {"seat": one(event.seats[0])})


def _seat_for(context: Context, asked: Request, index: int | None) -> Seat | Rejection:
    room, user_id = context.room, asked.user.user_id
    if index is not None and index >= 0:
        if index >= len(room.seats):
            return Rejection(Code.SEAT_INDEX_INVALID)
        seat = room.seats[index]
        if seat.locked or is_reserved(room, index, user_id):
            return Rejection(Code.SEAT_LOCKED)
        return seat if is_free_for(room, seat, user_id) else Rejection(Code.SEAT_OCCUPIED)
    if 0 <= asked.index < len(room.seats) and is_free_for(room, room.seats[asked.index], user_id):
        return room.seats[asked.index]
    return first_free(room, user_id) or Rejection(Code.SEAT_ALL_TAKEN)


def list_requests(context: Context, command: SeatListRequests) -> Outcome:
    """Who waits, the longest first."""
    return decided(requests=[to_builtins(waiting) for waiting in context.room.requests])


def invite(context: Context, command: SeatInvite) -> Outcome:
    """Offer a seat and hold it. A locked seat may be offered; it stays locked for others."""
    room = context.room
    refused = refuse_target(context, command.user_id)
    if refused is not None:
        return refused
    if not -1 <= command.index < len(room.seats):
        return Rejection(Code.SEAT_INDEX_INVALID)
    if seat_of(room, command.user_id) is not None:
        return Rejection(Code.ALREADY_SEATED)
    if any(offered.user_id == command.user_id for offered in room.invites):
        return Rejection(Code.CONFLICT, "the user holds an open invite")
    seat = first_free(room, command.user_id) if command.index == -1 else room.seats[command.index]
    if seat is None:
        return Rejection(Code.SEAT_ALL_TAKEN)
    if is_reserved(room, seat.index, command.user_id):
        return Rejection(Code.SEAT_LOCKED)
    if seat.user is not None or is_held(room, seat.index):
        return Rejection(Code.SEAT_OCCUPIED)
    offer = Invite(
        invite_id=context.next_id(),
        user_id=command.user_id,
        index=seat.index,
        by=context.actor.user_id,
        created_at=context.now,
        expires_at=context.now + command.timeout_ms,
    )
    return decided((SeatInvited(offer),), invite_id=offer.invite_id, expires_at=offer.expires_at)


def cancel_invite(context: Context, command: SeatCancelInvite) -> Outcome:
    """Withdraw an invite."""
    offer = _open_invite(context.room, command.invite_id)
    if offer is None:
        return Rejection(Code.INVITE_NOT_FOUND)
    return decided((SeatInviteResolved(offer.invite_id, offer.user_id, "cancelled"),))


def respond_invite(context: Context, command: SeatRespondInvite) -> Outcome:
    """The invited user answers; it starts silent and opens its mic itself."""
    room, actor = context.room, context.actor
    offer = _open_invite(room, command.invite_id)
    if offer is None or offer.user_id != actor.user_id or offer.expires_at <= context.now:
        return Rejection(Code.INVITE_NOT_FOUND)
    if not command.accept:
        return decided((SeatInviteResolved(offer.invite_id, actor.user_id, "rejected"),))
    if seat_of(room, actor.user_id) is not None:
        return Rejection(Code.ALREADY_SEATED)
    seat = room.seats[offer.index]
    if seat.user is not None:
        return Rejection(Code.SEAT_OCCUPIED)
    user = sitter_of(profile_of(room, actor))
    event = changed(room, "invite", (seated(seat, user, self_muted=True),))
    answered = cancel_for_user(room, actor.user_id, taken=offer.index)
    return Decision((*answered, event), {"seat": one(event.seats[0])})
