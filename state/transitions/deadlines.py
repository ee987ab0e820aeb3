"""What time does. Any node may ask for it; the first makes it true, for the others nothing is left to do."""

from collections.abc import Iterator

from msgspec.structs import replace

from state.commands import ExpireDue
from state.events import Event, SeatInviteResolved, SeatRequestResolved
from state.room import Room, Seat, seat_of
from state.transitions.context import Context, Outcome, decided
from state.transitions.house import closing, combo_ended
from state.transitions.mics import mic_changed
from state.transitions.places import changed, emptied


def _deadlines(room: Room) -> Iterator[int]:
    yield from (request.expires_at for request in room.requests)
    yield from (invite.expires_at for invite in room.invites)
    yield from (combo.ends_at for combo in room.combos)
    yield from (until for until in room.mic_mutes.values() if until is not None)
    for seat in room.seats:
        if seat.away_since is not None:
            yield seat.away_since + room.away_grace_ms
    if room.idle_since is not None and room.idle_close_ms:
        yield room.idle_since + room.idle_close_ms


def next_deadline(room: Room) -> int | None:
    """When time will next change this room, if nothing else does before."""
    if room.closed_reason is not None:
        return None
    return min(_deadlines(room), default=None)


def expire(context: Context, command: ExpireDue) -> Outcome:
    """Make true what is over by now."""
    room, now = context.room, context.now
    events: list[Event] = []
    for request in room.requests:
        if request.expires_at <= now:
            events.append(SeatRequestResolved(request.request_id, request.user.user_id, "expired"))
    for invite in room.invites:
        if invite.expires_at <= now:
            events.append(SeatInviteResolved(invite.invite_id, invite.user_id, "expired"))
    given_up = [emptied(seat) for seat in room.seats if _is_given_up(room, seat, now)]
    if given_up:
        events.append(changed(room, "timeout", given_up))
    freed = {seat.index for seat in given_up}
    for user_id, until in room.mic_mutes.items():
        if until is not None and until <= now:
            events.append(_mute_over(room, user_id, freed))
    for combo in room.combos:
        if combo.ends_at <= now:
            events.append(combo_ended(combo))
    if room.idle_since is not None and room.idle_close_ms and room.idle_since + room.idle_close_ms <= now:
        return decided(closing(room, "idle"))
    return decided(events)


def _is_given_up(room: Room, seat: Seat, now: int) -> bool:
    return seat.away_since is not None and seat.away_since + room.away_grace_ms <= now


def _mute_over(room: Room, user_id: str, freed: set[int]) -> Event:
    seat = seat_of(room, user_id)
    if seat is not None and seat.index in freed:
        room = _without(room, seat)
        seat = None
    self_muted = seat is not None and seat.self_muted
    return mic_changed(room, user_id, self_muted=self_muted, admin_muted=False)


def _without(room: Room, seat: Seat) -> Room:
    return replace(room, seats=tuple(emptied(s) if s.index == seat.index else s for s in room.seats))
