"""What a node is made of: parts that start in order, drain together and stop in reverse.

A part is anything with a life of its own: the gateway, the API's relay, the media workers, the watch over the
embedded servers. The composition root (`realtime/app.py`) builds them; this file knows none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg
import structlog
from aiohttp import web
from prometheus_client import Gauge

from state.settings import Settings

# What a part may take beyond the configured time before it is left behind.
DRAIN_GRACE_SECONDS = 5.0
STOP_SECONDS = 10.0

_draining = Gauge("flylive_draining", "1 while this node is leaving.")
_log = structlog.get_logger("node")


class Part(Protocol):
    @property
    def name(self) -> str: ...

    async def start(self) -> None: ...

    async def drain(self, seconds: float) -> None:
        """Takes no new work, tells those it concerns, and lets go of them within the time."""

    async def stop(self) -> None: ...

    async def check(self) -> str | None:
        """None when ready, else the reason in a few words."""


class Node:
    """What every build function is given."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: asyncpg.Pool,
        web: web.Application,
        url: str,
        is_development: bool,
    ) -> None:
        self.settings = settings
        self.database = database
        self.web = web
        # Under which clients reach this node (or the balancer before it), without a slash at the end.
        self.url = url
        self.is_development = is_development


class Lifecycle:
    """Runs the parts from the first start to the last stop."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)
        self.is_draining = False
        self._started: list[Part] = []

    async def start(self) -> None:
        for part in self.parts:
            self._started.append(part)
            await part.start()

    async def drain(self, notice_seconds: float, seconds: float) -> None:
        """Readiness first, so that balancers look elsewhere; then the parts, all at once."""
        self.is_draining = True
        _draining.set(1)
        _log.info("draining", seconds=seconds)
        await asyncio.sleep(notice_seconds)
        await self._each(
            "drain", seconds + DRAIN_GRACE_SECONDS, *(part.drain(seconds) for part in self.parts)
        )

    async def stop(self) -> None:
        for part in reversed(self._started):
            await self._each("stop", STOP_SECONDS, part.stop())
        self._started.clear()

    async def _each(self, step: str, seconds: float, *jobs: Any) -> None:
        """A part that fails or hangs while leaving must not keep the others."""
        results = await asyncio.gather(
            *(asyncio.wait_for(job, seconds) for job in jobs), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                _log.error("a part failed while leaving", step=step, exc_info=result)
