"""Following rooms: every node keeps a copy of the rooms that its sockets watch."""

from typing import Any, Protocol

from state.events import Recorded
from state.identity import Actor
from state.room import Message, Room


class RoomView(Protocol):
    """A node's copy of a room at a position, with the last messages."""

    room: Room
    chat: tuple[Message, ...]

    @property
    def epoch(self) -> str:
        """The epoch of the copy."""
        ...

    @property
    def seq(self) -> int:
        """The number of the last event in the copy."""
        ...

    def snapshot(self, viewer: Actor) -> dict[str, Any]:
        """What a joining client gets."""
        ...


class RoomListener(Protocol):
    """Told of one room's events, in order and without a gap. Must not block."""

    def on_events(self, view: RoomView, events: list[Recorded]) -> None:
        """These happened; the view stands after the last of them."""
        ...

    def on_reset(self, view: RoomView) -> None:
        """The view made a jump: every client needs a snapshot."""
        ...

    def on_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        """A message of the lossy lane."""
        ...


class Followers(Protocol):
    """The rooms that this node follows."""

    async def watch(self, room_id: str, listener: RoomListener) -> RoomView | None:
        """Follow a room for this listener; None when there is no such room. Several may watch one room."""
        ...

    async def unwatch(self, room_id: str, listener: RoomListener) -> None:
        """Stop; the last listener's leaving ends the following."""
        ...

    def view(self, room_id: str) -> RoomView | None:
        """The copy of a followed room."""
        ...
