"""The one verb by which rooms change: perform."""

from typing import Any, Protocol

from state.commands import AnyCommand
from state.events import Recorded, Settings
from state.identity import Actor
from state.ports import Answer
from state.ports import Done as Done
from state.rejections import Rejection
from state.room import Room


class Rooms(Protocol):
    """All rooms, as seen from this node. Every call may raise Unavailable."""

    async def perform(
        self, room_id: str, actor: Actor, command: AnyCommand, *, command_id: str | None = None
    ) -> Answer:
        """Carry out a room command; with a command id (default: the command's cid) at most once."""
        ...

    async def create(
        self, room_id: str, owner_id: str, settings: Settings, *, password: str | None = None
    ) -> Room | Rejection:
        """Make a new room, or ROOM_EXISTS."""
        ...

    async def load(self, room_id: str) -> Room | None:
        """The document as it is in the store (or in the copy of a followed room)."""
        ...

    async def snapshot(self, room_id: str, viewer: Actor) -> dict[str, Any] | Rejection:
        """What a client of this viewer needs to show the room."""
        ...

    async def events_since(self, room_id: str, epoch: str, seq: int) -> list[Recorded] | None:
        """The events after a position, or None when they can not be had any more: take a snapshot."""
        ...
