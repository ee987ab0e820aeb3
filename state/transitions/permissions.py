"""Who may do what. The names are those of the commands; a token's `perms` can only narrow its role's set."""

from typing import Final

from state.identity import Actor, Role
from state.room import Room, role_of

_GUEST: Final = frozenset(
    {
        "room:join",
        "room:leave",
        "room:sync",
        "room:members",
        "chat:send",  # as far as the room's guest policy goes
        "chat:delete",  # one's own
        "chat:history",
        "seat:respond_invite",  # an admin asked for it
        "seat:leave",
        "mic:set",
        "mod:report",
        "gift:catalog",
        "wallet:get",
        "rank:get",
    }
)
_MEMBER: Final = _GUEST | {
    "seat:take",
    "seat:move",
    "seat:request",
    "seat:cancel_request",
    "gift:send",
}
_ADMIN: Final = _MEMBER | {
    "room:update",
    "seat:respond_request",
    "seat:list_requests",
    "seat:invite",
    "seat:cancel_invite",
    "seat:kick",
    "seat:move_user",
    "seat:lock",
    "seat:mute",
    "mic:mute_user",
    "mic:ask_unmute",
    "mod:kick",
    "mod:ban",
    "mod:unban",
    "mod:list_bans",
    "mod:mute_chat",
}
_OWNER: Final = _ADMIN | {
    "room:close",
    "room:transfer",
    "mod:set_role",
}

PERMISSIONS: Final[dict[Role, frozenset[str]]] = {
    "guest": _GUEST,
    "member": _MEMBER,
    "admin": _ADMIN,
    "owner": _OWNER,
}


def permissions_of(room: Room, actor: Actor) -> frozenset[str]:
    """What this actor may do in this room."""
    granted = PERMISSIONS[role_of(room, actor)]
    if actor.permissions is None or actor.system:
        return granted
    return granted & actor.permissions
