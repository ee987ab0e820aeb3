"""What may happen to a room, and what it means: the heart of the house.

`decide` looks at a room, a command, who issues it and the time, and says which events follow, or refuses.
`evolve` applies one event. Both are pure: no clock, no randomness, no server; new ids come from the room's
own position. So the same two functions serve the store's writers, every node's copy, the media grants, the
simulation and the documentation.

Refusals come in one order for all commands: the room is closed, the actor is not in the room, its role does
not permit the command; then what the command itself says, in the order its function reads.
"""

from collections.abc import Callable
from typing import Any, Final

from state import commands as c
from state.identity import Actor
from state.rejections import Code, Rejection
from state.room import Room, role_of
from state.transitions import (
    chat,
    deadlines,
    gifts,
    house,
    mics,
    moderation,
    presence,
    queue,
    seats,
)
from state.transitions.context import NO_FACTS, Context, Decision, Facts, Outcome
from state.transitions.deadlines import next_deadline
from state.transitions.evolution import evolve
from state.transitions.moderation import admit, is_banned
from state.transitions.permissions import PERMISSIONS, permissions_of

Decide = Callable[[Context, Any], Outcome]

DECISIONS: Final[dict[type[c.Base], Decide]] = {
    c.RoomUpdate: house.update,
    c.RoomClose: house.close,
    c.RoomTransfer: house.transfer,
    c.SeatTake: seats.take,
    c.SeatLeave: seats.leave,
    c.SeatMove: seats.move,
    c.SeatRequest: queue.request,
    c.SeatCancelRequest: queue.cancel_request,
    c.SeatRespondRequest: queue.respond_request,
    c.SeatListRequests: queue.list_requests,
    c.SeatInvite: queue.invite,
    c.SeatCancelInvite: queue.cancel_invite,
    c.SeatRespondInvite: queue.respond_invite,
    c.SeatKick: seats.kick,
    c.SeatMoveUser: seats.move_user,
    c.SeatLock: seats.lock,
    c.SeatMute: seats.mute,
    c.MicSet: mics.set_muted,
    c.MicMuteUser: mics.mute_user,
    c.MicAskUnmute: mics.ask_unmute,
    c.ChatSend: chat.send,
    c.ChatDelete: chat.delete,
    c.ModSetRole: moderation.set_role,
    c.ModKick: moderation.kick,
    c.ModBan: moderation.ban,
    c.ModUnban: moderation.unban,
    c.ModListBans: moderation.list_bans,
    c.ModMuteChat: chat.mute_user,
    c.ExpireDue: deadlines.expire,
    c.MarkAway: presence.mark_away,
    c.MarkBack: presence.mark_back,
    c.ReleaseUser: presence.release,
    c.AnnounceMembers: presence.announce,
    c.AnnounceGift: gifts.announce,
    c.CorrectOnline: presence.correct_online,
}

# These only look: they need no commit and their answers are not remembered.
QUERIES: Final = (c.SeatListRequests, c.ModListBans)


def decide(
    room: Room, command: c.AnyCommand, actor: Actor, now: int, facts: Facts = NO_FACTS
) -> Decision | Rejection:
    """What follows from a command, or why nothing does."""
    kind = type(command)
    decision = DECISIONS.get(kind)
    if decision is None:
        return Rejection(Code.PAYLOAD_INVALID, f"{c.name_of(kind)} is not a command to a room's document")
    if room.closed_reason is not None:
        return Rejection(Code.ROOM_CLOSED)
    role = role_of(room, actor)
    if not actor.system:
        if not actor.present:
            return Rejection(Code.NOT_IN_ROOM)
        name = c.name_of(kind)
        if name not in PERMISSIONS[role]:
            return Rejection(Code.FORBIDDEN)
        if actor.permissions is not None and name not in actor.permissions:
            return Rejection(Code.FORBIDDEN)
    return decision(Context(room, actor, now, facts, role), command)


def target_of(room: Room, command: c.AnyCommand) -> str | None:
    """The other user whose presence the decision will ask about."""
    if isinstance(command, c.SeatRespondRequest):
        for request in room.requests:
            if request.request_id == command.request_id:
                return request.user.user_id
        return None
    if isinstance(command, _TARGETED):
        return command.user_id
    return None


_TARGETED: Final = (
    c.RoomTransfer,
    c.SeatInvite,
    c.SeatKick,
    c.SeatMoveUser,
    c.MicMuteUser,
    c.MicAskUnmute,
    c.ModSetRole,
    c.ModKick,
    c.ModBan,
    c.ModMuteChat,
)
ABOUT_OTHERS: Final = (c.SeatRespondRequest, *_TARGETED)

__all__ = [
    "ABOUT_OTHERS",
    "DECISIONS",
    "PERMISSIONS",
    "QUERIES",
    "Context",
    "Decision",
    "Facts",
    "Outcome",
    "admit",
    "decide",
    "evolve",
    "is_banned",
    "next_deadline",
    "permissions_of",
    "target_of",
]
