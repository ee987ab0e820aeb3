"""Chat: who may write, how fast, and who may take it back."""

from state import limits
from state.commands import ChatDelete, ChatSend, ModMuteChat
from state.events import ChatDeleted, ChatMessage, ChatUserMuted
from state.identity import RANK, Actor
from state.rejections import Code, Rejection
from state.room import Room, is_admin, profile_of, role_of, seat_of
from state.transitions.context import Context, Outcome, decided, refuse_target


def is_chat_muted(room: Room, user_id: str, now: int) -> bool:
    """Whether the user may not write now."""
    if user_id not in room.chat_mutes:
        return False
    until = room.chat_mutes[user_id]
    return until is None or until > now


def _is_open_for(context: Context) -> bool:
    settings = context.room.settings
    if context.actor.system:
        return True
    if context.role == "guest" and settings.guest_policy != "chat":
        return False
    match settings.chat_mode:
        case "all":
            return True
        case "seated":
            return is_admin(context.role) or seat_of(context.room, context.actor.user_id) is not None
        case "admins":
            return is_admin(context.role)
        case _:
            return False


def send(context: Context, command: ChatSend) -> Outcome:
    """Say something."""
    room, user_id = context.room, context.actor.user_id
    if not _is_open_for(context):
        return Rejection(Code.CHAT_DISABLED)
    if is_chat_muted(room, user_id, context.now):
        until = room.chat_mutes[user_id]
        return Rejection(Code.CHAT_MUTED, retry_after_ms=None if until is None else until - context.now)
    slow_mode_ms = room.settings.slow_mode_ms
    if slow_mode_ms and not is_admin(context.role):
        wait_ms = room.spoken.get(user_id, -slow_mode_ms) + slow_mode_ms - context.now
        if wait_ms > 0:
            return Rejection(Code.CHAT_TOO_FAST, retry_after_ms=wait_ms)
    event = ChatMessage(
        message_id=context.next_id(),
        user=profile_of(room, context.actor),
        text=command.text,
        kind=command.kind,
        reply_to=command.reply_to,
        mentions=None if command.mentions is None else tuple(command.mentions),
    )
    return decided((event,), message_id=event.message_id, seq=room.seq + 1)


def delete(context: Context, command: ChatDelete) -> Outcome:
    """Remove one's own message, or as an admin one of a lower role."""
    message = context.facts.message
    if message is None:
        return Rejection(Code.MESSAGE_NOT_FOUND)
    author = message.user
    if author.user_id != context.actor.user_id and not context.actor.system:
        if not is_admin(context.role):
            return Rejection(Code.FORBIDDEN)
        author_role = role_of(context.room, Actor(user_id=author.user_id, role=author.role))
        if RANK[author_role] >= RANK[context.role]:
            return Rejection(Code.FORBIDDEN_TARGET)
    return decided((ChatDeleted(message.message_id),))


def mute_user(context: Context, command: ModMuteChat) -> Outcome:
    """Forbid a lower user to write, or allow it again."""
    room, user_id = context.room, command.user_id
    refused = refuse_target(context, user_id, absent_too=True)
    if refused is not None:
        return refused
    if not command.muted:
        lifted = (ChatUserMuted(user_id, 0),) if user_id in room.chat_mutes else ()
        return decided(lifted)
    if user_id not in room.chat_mutes and len(room.chat_mutes) >= limits.MUTES_MAX:
        return Rejection(Code.CONFLICT, "too many users are muted")
    until = None if command.duration_s is None else context.now + command.duration_s * 1000
    return decided((ChatUserMuted(user_id, until),))
