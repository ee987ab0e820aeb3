"""Work that nobody waits for: begun by callbacks that must not block; what fails is made good by a lease."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from typing import Any

from state.rejections import Unavailable

logger = logging.getLogger(__name__)


AT_ONCE = 64  # a crowd that leaves must not stand in the way of those who come


class Background:
    """Runs so many jobs at a time, the others in the order of their coming. Who stops waits for all."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._waiting: deque[Coroutine[Any, Any, Any]] = deque()
        self._workers: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._workers) + len(self._waiting)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self._waiting.append(work)
        if len(self._workers) < self._at_once:
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while self._waiting:
            await _quietly(self._waiting.popleft())

    async def settle(self) -> None:
        """Return when all of it is done."""
        while self._workers:
            await asyncio.wait(self._workers)


async def _quietly(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Unavailable as failure:
        logger.warning("left to its lease: %s", failure)
    except Exception:
        logger.exception("work in the background failed")
