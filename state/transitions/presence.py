"""What the audience tells the document: who came, dropped, returned and left."""

from msgspec.structs import replace

from state import limits
from state.commands import AnnounceMembers, CorrectOnline, MarkAway, MarkBack, ReleaseUser
from state.events import Event, MemberBatch, MemberJoined, MemberLeft
from state.room import seat_of
from state.transitions.context import Context, Outcome, decided
from state.transitions.places import cancel_for_user, changed, emptied


def mark_away(context: Context, command: MarkAway) -> Outcome:
    """The seat waits in silence."""
    seat = seat_of(context.room, command.user_id)
    if seat is None or seat.away_since is not None:
        return decided()
    return decided((changed(context.room, "update", (replace(seat, away_since=context.now),)),))


def mark_back(context: Context, command: MarkBack) -> Outcome:
    """The user sits there again, with the mutes it had."""
    seat = seat_of(context.room, command.user_id)
    if seat is None or seat.away_since is None:
        return decided()
    return decided((changed(context.room, "update", (replace(seat, away_since=None),)),))


def release(context: Context, command: ReleaseUser) -> Outcome:
    """The user left: nothing waits for it any more."""
    room = context.room
    events = cancel_for_user(room, command.user_id)
    seat = seat_of(room, command.user_id)
    if seat is not None:
        events.append(changed(room, "leave", (emptied(seat),)))
    return decided(events)


def announce(context: Context, command: AnnounceMembers) -> Outcome:
    """One event each in a small room, one for all in a big one."""
    room = context.room
    online = max(0, room.online + len(command.joined) - len(command.left))
    if not command.joined and not command.left:
        return decided()
    if max(room.online, online) >= limits.MEMBER_BATCH_FROM:
        return decided((MemberBatch(tuple(command.joined), tuple(command.left), online),))
    events: list[Event] = [MemberJoined(profile) for profile in command.joined]
    events += [MemberLeft(departure.user_id, departure.reason) for departure in command.left]
    return decided(events)


def correct_online(context: Context, command: CorrectOnline) -> Outcome:
    """Bring the count back to the truth."""
    if command.online == context.room.online:
        return decided()
    return decided((MemberBatch((), (), command.online),))
