"""Time-driven work of followed rooms: asks for `ExpireDue` when a room's next deadline is there.

Every node that follows a room has its own alarm; the first one's command makes it true, the others find
nothing left to do. The sweep (see `state.sweep`) does the same for rooms that nobody follows.
"""

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from state.commands import ExpireDue
from state.identity import SYSTEM
from state.rejections import Unavailable
from state.room import Room
from state.rooms import Rooms
from state.supervision import stop
from state.transitions import next_deadline

_LATE_MS: Final = 5  # so that a clock that is a little ahead does not ask in vain
_SPREAD_MS: Final = 40  # nodes ask one after the other, so that mostly the first is enough
_AGAIN_MS: Final = 250
_OUTDATED_MAX: Final = 1_000  # alarms that were moved since and are still in the heap


class Clock:
    """One alarm per room, one timer for all of them."""

    def __init__(
        self, rooms: Rooms, *, now_ms: Callable[[], int], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._rooms = rooms
        self._now_ms = now_ms
        self._spread_ms = random_bytes(1)[0] % _SPREAD_MS
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order of their birth

    def note(self, room: Room) -> None:
        """A room as it is now: set its alarm."""
        deadline = next_deadline(room)
        if deadline is None:
            self._due.pop(room.room_id, None)
        elif self._due.get(room.room_id) != deadline:
            self._set(room.room_id, deadline)

    def _set(self, room_id: str, deadline: int) -> None:
        self._due[room_id] = deadline
        heapq.heappush(self._heap, (deadline, room_id))
        if len(self._heap) > _OUTDATED_MAX + 2 * len(self._due):
            self._heap = [(at, room) for room, at in self._due.items()]
            heapq.heapify(self._heap)
        self._arm()

    def _arm(self) -> None:
        if not self._heap:
            return
        at = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        wait_ms = max(0, at - self._now_ms()) + _LATE_MS + self._spread_ms
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._now_ms()
        while self._heap and self._heap[0][0] <= now:
            deadline, room_id = heapq.heappop(self._heap)
            if self._due.get(room_id) == deadline:
                del self._due[room_id]
                task = asyncio.get_running_loop().create_task(self._expire(room_id, deadline))
                self._tasks[task] = None
                task.add_done_callback(self._tasks.pop)
        self._arm()

    async def _expire(self, room_id: str, deadline: int) -> None:
        try:
            await self._rooms.perform(room_id, SYSTEM, ExpireDue())
        except Unavailable:
            if room_id not in self._due:
                self._set(room_id, max(deadline, self._now_ms()) + _AGAIN_MS)

    async def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()
        await stop(*self._tasks)
