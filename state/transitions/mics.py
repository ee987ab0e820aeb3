"""Mics: one's own switch, an admin's mute of a user, and the question that opens nothing."""

from msgspec import to_builtins

from state import limits
from state.commands import MicAskUnmute, MicMuteUser, MicSet
from state.events import Mic, MicChanged, MicUnmuteAsked
from state.rejections import Code, Rejection
from state.room import Room, is_mic_muted, seat_of
from state.transitions.context import Context, Outcome, decided, refuse_target


def mic_changed(
    room: Room, user_id: str, *, self_muted: bool, admin_muted: bool, until: int | None = None
) -> MicChanged:
    """The event that says how a user's mic is now."""
    seat = seat_of(room, user_id)
    silent = seat is None or seat.muted or seat.away_since is not None
    return MicChanged(
        user_id=user_id,
        index=None if seat is None else seat.index,
        self_muted=self_muted,
        admin_muted=admin_muted,
        can_publish=not (silent or self_muted or admin_muted),
        until=until,
    )


def _answered(event: MicChanged, *, changed: bool) -> Outcome:
    mic = to_builtins(Mic(event.self_muted, event.admin_muted, event.can_publish))
    return decided((event,) if changed else (), mic=mic)


def set_muted(context: Context, command: MicSet) -> Outcome:
    """Mute or open one's own mic."""
    room, user_id = context.room, context.actor.user_id
    seat = seat_of(room, user_id)
    if seat is None:
        return Rejection(Code.NOT_SEATED)
    admin_muted = is_mic_muted(room, user_id)
    if not command.muted and seat.muted:
        return Rejection(Code.MIC_LOCKED_BY_SEAT)
    if not command.muted and admin_muted:
        return Rejection(Code.MIC_LOCKED_BY_ADMIN)
    event = mic_changed(room, user_id, self_muted=command.muted, admin_muted=admin_muted)
    return _answered(event, changed=seat.self_muted != command.muted)


def mute_user(context: Context, command: MicMuteUser) -> Outcome:
    """Mute a lower user wherever it sits, or lift that. Lifting never opens a mic that its user closed."""
    room, user_id = context.room, command.user_id
    refused = refuse_target(context, user_id, absent_too=user_id in room.mic_mutes)
    if refused is not None:
        return refused
    if command.muted and user_id not in room.mic_mutes and len(room.mic_mutes) >= limits.MUTES_MAX:
        return Rejection(Code.CONFLICT, "too many users are muted")
    seat = seat_of(room, user_id)
    until = None
    if command.muted and command.duration_s is not None:
        until = context.now + command.duration_s * 1000
    event = mic_changed(
        room,
        user_id,
        self_muted=seat is not None and seat.self_muted,
        admin_muted=command.muted,
        until=until,
    )
    was_muted = user_id in room.mic_mutes
    changed = was_muted != command.muted or (command.muted and room.mic_mutes[user_id] != until)
    return _answered(event, changed=changed)


def ask_unmute(context: Context, command: MicAskUnmute) -> Outcome:
    """Ask a seated user to open its mic."""
    refused = refuse_target(context, command.user_id)
    if refused is not None:
        return refused
    if seat_of(context.room, command.user_id) is None:
        return Rejection(Code.NOT_SEATED)
    return decided((MicUnmuteAsked(command.user_id),))
