"""Who is in which room: members with their connections, under leases of the nodes that hold them."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from state.identity import Profile
from state.rejections import Rejection


class Joined(Struct, frozen=True):
    """A connection is in. `first` when it is the user's first one in this room."""

    first: bool
    online: int


class MembersPage(Struct, frozen=True):
    """Some of the members, and where to go on."""

    members: list[Profile]
    next_cursor: str | None
    total: int


class Audience(Protocol):
    """Membership of all rooms. Announces comings and goings, and marks the seats of those who dropped."""

    async def join(
        self, room_id: str, connection_id: str, profile: Profile, *, capacity: int
    ) -> Joined | Rejection:
        """A connection of this node enters a room; ROOM_FULL when it holds no more users."""
        ...

    async def leave(self, room_id: str, connection_id: str, reason: str = "left") -> None:
        """A connection leaves for good: with the user's last one, its seat is free."""
        ...

    async def drop(self, room_id: str, connection_id: str) -> None:
        """A connection broke: with the user's last one, its seat waits for the grace time."""
        ...

    async def member(self, room_id: str, user_id: str) -> Profile | None:
        """A user of the room, or None if it is not there."""
        ...

    async def members(self, room_id: str, cursor: str | None, limit: int) -> MembersPage:
        """A page of the users in the room."""
        ...

    async def online(self, room_id: str) -> int:
        """How many users are in the room."""
        ...

    def on_fenced(self, callback: Callable[[], None]) -> None:
        """Call this when the node was given up by the others: drop every socket, they came back elsewhere."""
        ...
