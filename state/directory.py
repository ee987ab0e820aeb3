"""The list of live rooms with their online counts."""

import asyncio
from typing import Final

from msgspec import Struct

from state.audience import AudienceStore
from state.keys import Keys
from state.room import Room
from state.server import Server
from state.store import Loaded, Missing, RoomStore

_AT_ONCE: Final = 64


class RoomListed(Struct, frozen=True):
    """A live room in the list."""

    room: Room
    online: int


class RoomsPage(Struct, frozen=True):
    """Some of the rooms, and where to go on."""

    rooms: list[RoomListed]
    next_cursor: str | None


class Directory:
    """Knows which rooms are live. An entry is made before its room and removed after it."""

    def __init__(self, server: Server, keys: Keys, store: RoomStore, audience: AudienceStore) -> None:
        self._server = server
        self._keys = keys
        self._store = store
        self._audience = audience

    async def names(self, cursor: str | None, limit: int) -> list[str]:
        """Ids of rooms behind a cursor, in their order; some may be gone."""
        start = f"({cursor}" if cursor else "-"
        names = await self._server.execute("ZRANGEBYLEX", self._keys.directory, start, "+", "LIMIT", 0, limit)
        return [bytes(name).decode() for name in names]

    async def page(self, cursor: str | None, limit: int) -> RoomsPage:
        """A page of live rooms in the order of their ids."""
        rooms: list[RoomListed] = []
        while len(rooms) < limit:
            wanted = limit - len(rooms)
            names = await self.names(cursor, wanted)
            listed = await asyncio.gather(*(self._listed(name) for name in names))
            rooms += [one for one in listed if one is not None]
            if len(names) < wanted:
                return RoomsPage(rooms, None)
            cursor = names[-1]
        return RoomsPage(rooms, cursor)

    async def _listed(self, room_id: str) -> RoomListed | None:
        loaded, online = await asyncio.gather(self._store.load(room_id), self._audience.online(room_id))
        if isinstance(loaded, Missing):
            await self.remove(room_id)
        if not isinstance(loaded, Loaded):
            return None
        if loaded.room.closed_reason is not None:
            await self.remove(room_id)
            return None
        return RoomListed(loaded.room, online)

    async def remove(self, room_id: str) -> None:
        """The room is over."""
        await self._server.execute("ZREM", self._keys.directory, room_id)
