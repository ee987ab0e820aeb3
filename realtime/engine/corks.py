"""What is written to one client within one tick leaves as one write.

A session with a healthy WebSocket is corked by the first personal packet of a tick: its `write` becomes the
`append` of a list. At the end of the tick, after the fan-out of the rooms, the list is joined and written. A
system call costs more than the encoding of a packet, and answers tend to come several at a time.
"""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime.engine.session import Session


class Corks:
    __slots__ = ("_scheduled", "_sessions", "deferred")

    def __init__(self) -> None:
        self._sessions: list[Session] = []
        self._scheduled = False
        self.deferred = False  # a fan-out of this tick will flush when it is done

    def add(self, session: "Session") -> None:
        self._sessions.append(session)
        if not self._scheduled and not self.deferred:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._end_of_tick)

    def _end_of_tick(self) -> None:
        self._scheduled = False
        if not self.deferred:
            self.flush()

    def flush(self) -> None:
        sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.uncork()
