"""What happens after the server lost data: the room goes on from the furthest copy that anybody has.

Every node that follows a room offers its copy; after a time in which all had the chance to notice, the
furthest one is installed under a new epoch. A room that no node followed goes on from what the server still
has. Until then nobody writes to the room: an epoch lives on one server process, so the scripts refuse.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from state.ids import new_id
from state.rejections import Unavailable
from state.room import Message, Room
from state.store import Claimed, Missing, RoomStore

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.1
_ID_BYTES: Final = 10


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
        self._on_settled: Callable[[str, bool], None] = lambda _room_id, _exists: None
        self.restored = 0

    def on_settled(self, callback: Callable[[str, bool], None]) -> None:
        """Call this with the room when it is in order again, or gone (False)."""
        self._on_settled = callback

    def report(self, room_id: str, copy: Room | None, chat: tuple[Message, ...]) -> None:
        """The server has lost this room, or part of it; `copy` is what we have."""
        task = self._tasks.get(room_id)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._recover(room_id, copy, chat))
            self._tasks[room_id] = task
            task.add_done_callback(lambda _task: self._tasks.pop(room_id, None))

    def is_under_way(self, room_id: str) -> bool:
        """Whether the room is being restored."""
        return room_id in self._tasks

    async def close(self) -> None:
        """Stop."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _recover(self, room_id: str, copy: Room | None, chat: tuple[Message, ...]) -> None:
        while True:
            try:
                settled = await self._step(room_id, copy, chat)
            except Unavailable:
                await asyncio.sleep(_PAUSE_S)
                continue
            if settled is not None:
                self._on_settled(room_id, settled)
                return

    async def _step(self, room_id: str, copy: Room | None, chat: tuple[Message, ...]) -> bool | None:
        claimed = await self._store.claim(room_id, copy, chat)
        if isinstance(claimed, Missing):
            return False
        if not isinstance(claimed, Claimed):
            return True
        wait_ms = int(self._wait_seconds * 1000)
        if claimed.age_ms < wait_ms:
            await asyncio.sleep((wait_ms - claimed.age_ms) / 1000 + 0.01)
            return None
        epoch = new_id(self._random_bytes(_ID_BYTES), self._now_ms())
        if epoch <= claimed.epoch:  # this clock is behind the one that named the last epoch
            await asyncio.sleep(_PAUSE_S)
            return None
        await self._store.server.execute("ZADD", self._store.keys.directory, 0, room_id)
        if not await self._store.restore(room_id, claimed, epoch, wait_ms):
            return None
        self.restored += 1
        _log.warning("room %s goes on from %s:%d as %s", room_id, claimed.epoch, claimed.seq, epoch)
        return True
