"""When tokens end: one queue of moments for all sessions, looked at once a second.

A timer per connection would be ten thousand timers for something that happens once an hour. A session may
be in the queue several times after its token was refreshed; what counts is the time it names itself, and
moments that no longer fit are dropped when they come up.

Pure: the caller passes the time.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Literal, NamedTuple

from realtime.sessions import Session, Sessions

WARNING_MS = 60_000  # long enough to ask a slow backend for a new token, twice

Due = Literal["warning", "end"]


class Moment(NamedTuple):
    at_ms: int
    number: int
    due: Due
    expires_at_ms: int
    connection_id: str


class Expiries:
    """Moments in order of time, for the sessions of this node."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._moments: list[Moment] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._moments)

    def watch(self, session: Session) -> None:
        """The session's token ends when it says now."""
        ends, own = session.expires_at_ms, session.connection_id
        heapq.heappush(self._moments, Moment(ends - WARNING_MS, next(self._numbers), "warning", ends, own))
        heapq.heappush(self._moments, Moment(ends, next(self._numbers), "end", ends, own))
        if len(self._moments) > 1000 + 4 * len(self._sessions):
            self._forget_the_gone()

    def due(self, now_ms: int) -> list[tuple[Session, Due]]:
        """What has come up since the last look, without sessions that ended or were refreshed."""
        found: list[tuple[Session, Due]] = []
        while self._moments and self._moments[0].at_ms <= now_ms:
            moment = heapq.heappop(self._moments)
            session = self._live(moment)
            if session is not None:
                found.append((session, moment.due))
        return found

    def _live(self, moment: Moment) -> Session | None:
        session = self._sessions.by_connection.get(moment.connection_id)
        fits = session is not None and session.expires_at_ms == moment.expires_at_ms
        return session if fits else None

    def _forget_the_gone(self) -> None:
        self._moments = [moment for moment in self._moments if self._live(moment) is not None]
        heapq.heapify(self._moments)
