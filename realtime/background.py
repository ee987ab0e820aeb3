"""Work that nobody waits for: begun by callbacks that must not block; what fails is made good by a lease."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from state.rejections import Unavailable

logger = logging.getLogger(__name__)


class Background:
    """Keeps the tasks alive, and lets a node that stops wait for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Return when all of it is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)


async def _quietly(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except Unavailable as failure:
        logger.warning("left to its lease: %s", failure)
    except Exception:
        logger.exception("work in the background failed")
