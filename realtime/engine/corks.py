"""What is written to one client within one tick leaves as one write.

A session with a healthy WebSocket is corked by the first personal packet of a tick: its `write` becomes the
`append` of a list. At the end of the tick, after the fan-out of the rooms, the list is joined and written. A
system call costs more than the encoding of a packet, and answers tend to come several at a time. When very
many sessions are corked at once (everybody is told something), the loop turns between the slices of them.
"""

import asyncio
import time
from collections import deque
from typing import Protocol

BUDGET_SECONDS = 0.002
SLICE = 32  # sessions between two looks at the clock


class Corked(Protocol):
    def uncork(self) -> None:
        """Write what was collected."""
        ...


class Corks:
    __slots__ = ("_scheduled", "_sessions", "deferred")

    def __init__(self) -> None:
        self._sessions: deque[Corked] = deque()
        self._scheduled = False
        self.deferred = False  # a fan-out of this tick will flush when it is done

    def add(self, session: Corked) -> None:
        self._sessions.append(session)
        if not self._scheduled and not self.deferred:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_soon(self._end_of_tick)

    def _end_of_tick(self) -> None:
        self._scheduled = False
        if not self.deferred:
            self.flush()

    def flush(self) -> None:
        sessions, deadline = self._sessions, time.monotonic() + BUDGET_SECONDS
        while sessions:
            for _ in range(min(SLICE, len(sessions))):
                sessions.popleft().uncork()
            if sessions and time.monotonic() >= deadline:
                if not self._scheduled:
                    self._schedule()
                return
