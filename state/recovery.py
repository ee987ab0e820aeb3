"""What happens after the server lost data: the room goes on from the furthest copy that anybody has.

Every node that follows a room offers its copy; after a time in which all had the chance to notice, the
furthest one is installed under a new epoch. A room that no node followed goes on from what the server still
has. Until then nobody writes to the room: an epoch lives on one server process, so the scripts refuse.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from state.ids import id_after
from state.rejections import Unavailable
from state.room import Message, Room
from state.store import Claimed, Missing, RoomStore
from state.supervision import stop

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.1
_ID_BYTES: Final = 10


class Copy(Struct, frozen=True):
    """What this node could offer: the furthest it has seen."""

    room: Room | None = None
    chat: tuple[Message, ...] = ()


def _place(room: Room) -> tuple[str, int]:
    return room.epoch, room.seq


class Recovery:
    """Restores rooms, one task per room."""

    def __init__(
        self,
        store: RoomStore,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        wait_seconds: float,
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._wait_seconds = wait_seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._copies: dict[str, Copy] = {}
        self._on_settled: Callable[[str, bool], None] = lambda _room_id, _exists: None
        self.restored = 0

    def on_settled(self, callback: Callable[[str, bool], None]) -> None:
        """Call this with the room when it is in order again, or gone (False)."""
        self._on_settled = callback

    def report(self, room_id: str, copy: Room | None, chat: tuple[Message, ...]) -> None:
        """The server has lost this room, or part of it; `copy` is what we have."""
        known = self._copies.get(room_id, Copy())
        if copy is not None and (known.room is None or _place(copy) > _place(known.room)):
            known = Copy(copy, chat)
        self._copies[room_id] = known
        if room_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._recover(room_id))
            self._tasks[room_id] = task
            task.add_done_callback(lambda _task: self._forget(room_id))

    def _forget(self, room_id: str) -> None:
        self._tasks.pop(room_id, None)
        self._copies.pop(room_id, None)

    def is_under_way(self, room_id: str) -> bool:
        """Whether the room is being restored."""
        return room_id in self._tasks

    async def close(self) -> None:
        """Stop."""
        await stop(*self._tasks.values())

    async def _recover(self, room_id: str) -> None:
        while True:
            try:
                settled = await self._step(room_id)
            except Unavailable:
                await asyncio.sleep(_PAUSE_S)
                continue
            if settled is not None:
                self._on_settled(room_id, settled)
                return

    async def _step(self, room_id: str) -> bool | None:
        copy = self._copies[room_id]
        claimed = await self._store.claim(room_id, copy.room, copy.chat)
        if isinstance(claimed, Missing):
            return False
        if not isinstance(claimed, Claimed):
            return True
        wait_ms = int(self._wait_seconds * 1000)
        if claimed.age_ms < wait_ms:
            await asyncio.sleep((wait_ms - claimed.age_ms) / 1000 + 0.01)
            return None
        epoch = id_after(claimed.epoch, self._random_bytes(_ID_BYTES), self._now_ms())
        await self._store.server.execute("ZADD", self._store.keys.directory, 0, room_id)
        if not await self._store.restore(room_id, claimed, epoch, wait_ms):
            return None
        self.restored += 1
        _log.warning("room %s goes on from %s:%d as %s", room_id, claimed.epoch, claimed.seq, epoch)
        return True
