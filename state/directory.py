"""The list of live rooms with their online counts."""

from typing import Protocol

from msgspec import Struct

from state.room import Room


class RoomListed(Struct, frozen=True):
    """A live room in the list."""

    room: Room
    online: int


class RoomsPage(Struct, frozen=True):
    """Some of the rooms, and where to go on."""

    rooms: list[RoomListed]
    next_cursor: str | None


class Directory(Protocol):
    """Knows which rooms are live."""

    async def page(self, cursor: str | None, limit: int) -> RoomsPage:
        """A page of live rooms in the order of their ids."""
        ...
