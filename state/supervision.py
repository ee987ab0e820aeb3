"""Work that goes on for as long as the process does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from state.rejections import Unavailable

_log = logging.getLogger(__name__)


def repeat(seconds: float, step: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
    """Take a step now and again. A server that is away is waited for, a defect is logged and survived."""
    return asyncio.get_running_loop().create_task(_repeat(seconds, step))


async def _repeat(seconds: float, step: Callable[[], Awaitable[object]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await step()
        except Unavailable:
            continue
        except Exception:
            _log.exception("%s failed", getattr(step, "__qualname__", step))


async def stop(*tasks: asyncio.Task[Any] | None) -> None:
    """End tasks and wait until they have."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
