"""What others may ask of a node: is the process alive, should it get traffic, what are its figures.

`/healthz` answers as long as the loop turns: restarting the process would not bring back a lost database.
`/readyz` asks everything the node depends on, and says no from the first moment of draining.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Gauge,
    Histogram,
    generate_latest,
)

Check = Callable[[], Awaitable[str | None]]

CHECK_SECONDS = 2.0
LAG_PERIOD_SECONDS = 0.1
# The worst lag is remembered this long, so that a probe between two stalls still sees them.
LAG_MEMORY_SECONDS = 5.0

_ready = Gauge("flylive_ready", "1 when the last readiness probe found everything in order.")
_lag = Histogram(
    "flylive_loop_lag_seconds",
    "How late the event loop ran a timer.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)


class Health:
    """The three endpoints over named checks."""

    def __init__(self, checks: Mapping[str, Check], is_draining: Callable[[], bool]) -> None:
        self._checks = checks
        self._is_draining = is_draining

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
        ]

    async def reasons(self) -> dict[str, str]:
        """What is not in order, by name; empty when the node is ready."""
        answers = await asyncio.gather(*(_answer(check) for check in self._checks.values()))
        reasons = {name: reason for name, reason in zip(self._checks, answers, strict=True) if reason}
        if self._is_draining():
            reasons["node"] = "draining"
        _ready.set(not reasons)
        return reasons

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        reasons = await self.reasons()
        checks = {name: reasons.get(name, "ok") for name in [*self._checks, "node"]}
        status = "unavailable" if reasons else "ok"
        return web.json_response({"status": status, "checks": checks}, status=503 if reasons else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _answer(check: Check) -> str | None:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS)
    except TimeoutError:
        return "no answer"
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]


class LoopWatch:
    """Measures how late the loop runs a timer."""

    name = "loop"

    def __init__(self, limit_ms: int) -> None:
        self._limit_seconds = limit_ms / 1000
        self._worst = (0.0, 0.0)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._measure())

    async def drain(self, seconds: float) -> None:
        """Watches until the end."""

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def check(self) -> str | None:
        lag, at = self._worst
        if lag > self._limit_seconds and time.monotonic() - at < LAG_MEMORY_SECONDS:
            return f"event loop {lag * 1000:.0f} ms late"
        return None

    async def _measure(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_PERIOD_SECONDS)
            now = time.monotonic()
            lag = max(0.0, now - before - LAG_PERIOD_SECONDS)
            _lag.observe(lag)
            if lag >= self._worst[0] or now - self._worst[1] > LAG_MEMORY_SECONDS:
                self._worst = (lag, now)
