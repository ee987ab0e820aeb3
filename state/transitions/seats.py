"""Seats: taking, leaving, moving, locking, muting them."""

from msgspec.structs import replace

from state.commands import SeatKick, SeatLeave, SeatLock, SeatMove, SeatMoveUser, SeatMute, SeatTake
from state.events import Event, SeatCause, Sitter
from state.identity import RANK
from state.rejections import Code, Rejection
from state.room import OWNER_SEAT, Seat, seat_of, shown
from state.transitions.context import Context, Decision, Outcome, decided, refuse_target
from state.transitions.places import (
    cancel_for_index,
    cancel_for_user,
    changed,
    emptied,
    first_free,
    is_free_for,
    is_held,
    is_reserved,
    may_act_on_sitter,
    one,
    seated,
)


def take(context: Context, command: SeatTake) -> Outcome:
    """Sit down on a free seat, with the refusals in their documented order."""
    room, user_id, index = context.room, context.actor.user_id, command.index
    if not -1 <= index < len(room.seats):
        return Rejection(Code.SEAT_INDEX_INVALID)
    mine = seat_of(room, user_id)
    if mine is not None:
        if index in (-1, mine.index):
            return decided(seat=one(shown(room, mine)))
        return Rejection(Code.ALREADY_SEATED, details={"index": mine.index})
    seat = first_free(room, user_id) if index == -1 else room.seats[index]
    if seat is not None and (seat.locked or is_reserved(room, seat.index, user_id)):
        return Rejection(Code.SEAT_LOCKED)
    if room.settings.seat_mode == "request" and RANK[context.role] < RANK["admin"]:
        return Rejection(Code.SEAT_MODE_REQUEST)
    if seat is None:
        return Rejection(Code.SEAT_ALL_TAKEN)
    if not is_free_for(room, seat, user_id):
        return Rejection(Code.SEAT_OCCUPIED)
    barred_until = room.cooldowns.get(user_id, 0)
    if barred_until > context.now:
        return Rejection(Code.SEAT_COOLDOWN, retry_after_ms=barred_until - context.now)
    return _sit(context, seat)


def _sit(context: Context, seat: Seat) -> Decision:
    actor = context.actor
    user = Sitter(actor.user_id, actor.name, actor.avatar, context.role)
    event = changed(context.room, "take", (seated(seat, user, self_muted=False),))
    answered = cancel_for_user(context.room, actor.user_id, taken=seat.index)
    return Decision((*answered, event), {"seat": one(event.seats[0])})


def leave(context: Context, command: SeatLeave) -> Outcome:
    """Stand up."""
    seat = seat_of(context.room, context.actor.user_id)
    if seat is None:
        return Rejection(Code.NOT_SEATED)
    return decided((changed(context.room, "leave", (emptied(seat),)),))


def move(context: Context, command: SeatMove) -> Outcome:
    """Change to another free seat; the mic goes along, the seats' own mutes stay."""
    room, user_id = context.room, context.actor.user_id
    seat = seat_of(room, user_id)
    if seat is None:
        return Rejection(Code.NOT_SEATED)
    if not 0 <= command.index < len(room.seats):
        return Rejection(Code.SEAT_INDEX_INVALID)
    if command.index == seat.index:
        return Rejection(Code.SEAT_SAME_INDEX)
    goal = room.seats[command.index]
    if goal.locked or is_reserved(room, goal.index, user_id):
        return Rejection(Code.SEAT_LOCKED)
    if not is_free_for(room, goal, user_id):
        return Rejection(Code.SEAT_OCCUPIED)
    event = changed(room, "move", (emptied(seat), _transplanted(seat, goal)))
    answered = cancel_for_user(room, user_id, taken=goal.index)
    return Decision((*answered, event), {"seat": one(event.seats[1])})


def _transplanted(seat: Seat, goal: Seat) -> Seat:
    return replace(goal, user=seat.user, self_muted=seat.self_muted, away_since=seat.away_since)


def kick(context: Context, command: SeatKick) -> Outcome:
    """Take a lower user off its seat."""
    refused = refuse_target(context, command.user_id)
    if refused is not None:
        return refused
    seat = seat_of(context.room, command.user_id)
    if seat is None:
        return Rejection(Code.NOT_SEATED)
    event = changed(context.room, "kick", (emptied(seat),))
    if command.cooldown_s:
        event = replace(event, cooldowns={command.user_id: context.now + command.cooldown_s * 1000})
    return decided((event,))


def move_user(context: Context, command: SeatMoveUser) -> Outcome:
    """Move a lower user; `replace` frees the goal, `swap` exchanges the two."""
    room = context.room
    refused = refuse_target(context, command.user_id)
    if refused is not None:
        return refused
    seat = seat_of(room, command.user_id)
    if seat is None:
        return Rejection(Code.NOT_SEATED)
    if not 0 <= command.index < len(room.seats):
        return Rejection(Code.SEAT_INDEX_INVALID)
    if command.index == seat.index:
        return Rejection(Code.SEAT_SAME_INDEX)
    goal = room.seats[command.index]
    if goal.locked or is_reserved(room, goal.index, command.user_id):
        return Rejection(Code.SEAT_LOCKED)
    if goal.user is None:
        return _move_to_empty(context, command, seat, goal)
    if command.policy == "abort":
        return Rejection(Code.SEAT_OCCUPIED)
    if not may_act_on_sitter(context, goal):
        return Rejection(Code.FORBIDDEN_TARGET)
    if command.policy == "swap" and is_reserved(room, seat.index, goal.user.user_id):
        return Rejection(Code.SEAT_LOCKED)
    left_behind = emptied(seat) if command.policy == "replace" else _transplanted(goal, seat)
    return decided((changed(room, "move", (left_behind, _transplanted(seat, goal))),))


def _move_to_empty(context: Context, command: SeatMoveUser, seat: Seat, goal: Seat) -> Outcome:
    events: list[Event] = []
    if is_held(context.room, goal.index, but_for=command.user_id):
        if command.policy != "replace":
            return Rejection(Code.SEAT_OCCUPIED)
        events += cancel_for_index(context.room, goal.index, requests_too=False)
    events.append(changed(context.room, "move", (emptied(seat), _transplanted(seat, goal))))
    return decided(events)


def lock(context: Context, command: SeatLock) -> Outcome:
    """Lock or unlock one seat (putting its sitter off, if so asked), or all empty ones."""
    room, index = context.room, command.index
    if index == "all":
        concerned = [seat for seat in room.seats if seat.user is None]
    elif 0 <= index < len(room.seats):
        concerned = [room.seats[index]]
    else:
        return Rejection(Code.SEAT_INDEX_INVALID)
    evicting = command.locked and command.evict and index != "all"
    events: list[Event] = []
    after: list[Seat] = []
    for seat in concerned:
        if evicting and seat.user is not None:
            if not may_act_on_sitter(context, seat):
                return Rejection(Code.FORBIDDEN_TARGET)
            after.append(replace(emptied(seat), locked=True))
        elif seat.locked != command.locked:
            after.append(replace(seat, locked=command.locked))
        if command.locked:
            events += cancel_for_index(room, seat.index)
    return _seats_changed(context, events, "lock" if command.locked else "unlock", after, concerned)


def mute(context: Context, command: SeatMute) -> Outcome:
    """Mute or unmute one seat, or all but those of the caller and of users out of its reach."""
    room, index = context.room, command.index
    if index == "all":
        concerned = [seat for seat in room.seats if _may_mute(context, seat, spare_self=True)]
    elif 0 <= index < len(room.seats):
        concerned = [room.seats[index]]
        if not _may_mute(context, concerned[0], spare_self=False):
            return Rejection(Code.FORBIDDEN_TARGET)
    else:
        return Rejection(Code.SEAT_INDEX_INVALID)
    after = [replace(seat, muted=command.muted) for seat in concerned if seat.muted != command.muted]
    return _seats_changed(context, [], "mute" if command.muted else "unmute", after, concerned)


def _may_mute(context: Context, seat: Seat, *, spare_self: bool) -> bool:
    if seat.user is None:
        return seat.index != OWNER_SEAT or context.role == "owner"
    if spare_self and seat.user.user_id == context.actor.user_id:
        return False
    return may_act_on_sitter(context, seat)


def _seats_changed(
    context: Context, events: list[Event], cause: SeatCause, after: list[Seat], concerned: list[Seat]
) -> Decision:
    if after:
        events = [*events, changed(context.room, cause, after)]
    now = {seat.index: seat for seat in concerned} | {seat.index: seat for seat in after}
    return decided(events, seats=[one(shown(context.room, seat)) for seat in now.values()])
