"""Brings an embedded server back that died on its own (killed by hand, out of memory)."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import Counter

from realtime.embedded.servers import EmbeddedServers
from realtime.failures import CannotStart

PERIOD_SECONDS = 0.5

_restarts = Counter("flylive_embedded_restarts", "Embedded servers that died and were started again.")
_log = structlog.get_logger("embedded")


class EmbeddedWatch:
    """Runs on the main thread's loop: a child's death signal is bound to the thread that made it."""

    name = "embedded"

    def __init__(self, servers: EmbeddedServers) -> None:
        self._servers = servers
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def drain(self, seconds: float) -> None:
        """The servers are needed until every other part has stopped."""

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def check(self) -> str | None:
        stopped = self._servers.stopped()
        return f"{', '.join(stopped)} stopped" if stopped else None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            for name in self._servers.stopped():
                _restarts.inc()
                _log.error("embedded server died, starting it again", server=name)
                try:
                    self._servers.relaunch(name)
                except (CannotStart, OSError) as error:
                    _log.error("embedded server cannot be started", server=name, reason=str(error))
