"""The engine's consumer for bare Engine.IO applications: engineio's own `on` handlers, in order per
session."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Protocol

from realtime.engine.limits import Limits
from realtime.engine.session import Session

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """What is used of engineio's `AsyncServer`."""

    limits: Limits
    sockets: dict[str, Session]
    handlers: dict[str, Any]

    async def _trigger_event(self, *call: Any) -> Any: ...


class Handlers:
    def __init__(self, engine: Owner) -> None:
        self._engine = engine
        self._tasks: set[asyncio.Task[None]] = set()

    def on_open(self, session: Session) -> None:
        session.consumer = deque()
        if "connect" in self._engine.handlers:
            self._start(session, ("connect", session.sid, session.environ))

    def on_message(self, session: Session, data: str | bytes) -> None:
        session.connected()
        self._start(session, ("message", session.sid, data))

    def on_close(self, session: Session, reason: str) -> None:
        if "disconnect" in self._engine.handlers:
            self._start(session, ("disconnect", session.sid, reason))

    def _start(self, session: Session, call: tuple[object, ...]) -> None:
        calls: deque[tuple[object, ...]] = session.consumer
        calls.append(call)
        if len(calls) == 1:
            task = asyncio.get_running_loop().create_task(self._run(calls))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(calls) >= self._engine.limits.inbound_packets:
            session.pause_reading()

    async def _run(self, calls: deque[tuple[object, ...]]) -> None:
        while calls:
            try:
                await self._engine._trigger_event(*calls[0])
            except Exception:
                logger.exception("handler of %s failed", calls[0][0])
            session = self._engine.sockets.get(str(calls[0][1]))
            calls.popleft()
            if session is not None and not calls:
                session.resume_reading()
