"""What the operator's console sees of every node: a few figures, told to Redis now and then by each.

The figures are read from the metrics that `/metrics` serves, so that the two always agree; the console on any
node shows all nodes. A node that stopped telling is gone from the list after a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry

from realtime.web.answers import fresh
from state.keys import Keys
from state.rejections import Unavailable
from state.server import Server

TOLD_EVERY_SECONDS = 2.0
KEPT_MS = 10_000
NODES_MAX = 500

# Figure -> the samples that add up to it.
SUMS = {
    "connections": "flylive_connections",
    "deliveries": "flylive_deliveries_total",
    "commands": "flylive_command_seconds_count",
    "packets": "flylive_media_packets_forwarded_total",
    "packets_lost": "flylive_media_packets_lost_total",
    "gifts": "flylive_gifts_total",
}


class NodeFigures(msgspec.Struct, frozen=True):
    node: str
    address: str
    at: int
    draining: bool
    figures: dict[str, float]


class Buckets:
    """A histogram between two looks, from which a quantile is read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._before: dict[float, float] = {}

    def quantiles_ms(
        self, samples: Iterable[tuple[str, dict[str, str], float]], *wanted: float
    ) -> list[float]:
        counts: dict[float, float] = {}
        for name, labels, value in samples:
            if name == f"{self._name}_bucket":
                bound = float(labels["le"])
                counts[bound] = counts.get(bound, 0.0) + value
        fresh_counts = {bound: value - self._before.get(bound, 0.0) for bound, value in counts.items()}
        self._before = counts
        return [_quantile(fresh_counts, one) * 1000 for one in wanted]


def _quantile(counts: dict[float, float], wanted: float) -> float:
    """The bound of the bucket that holds it; 0 when nothing was measured."""
    total = max(counts.values(), default=0.0)
    finite = [bound for bound in sorted(counts) if bound != float("inf")]
    if total <= 0 or not finite:
        return 0.0
    return next((bound for bound in finite if counts[bound] >= wanted * total), finite[-1])


class Figures:
    """Reads this process's figures."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._acks = Buckets("flylive_command_seconds")
        self._lags = Buckets("flylive_loop_lag_seconds")

    def read(self) -> dict[str, float]:
        samples = [
            (sample.name, sample.labels, sample.value)
            for metric in self._registry.collect()
            for sample in metric.samples
        ]
        figures = {
            figure: sum(value for name, _, value in samples if name == wanted)
            for figure, wanted in SUMS.items()
        }
        figures["ack_p50_ms"], figures["ack_p99_ms"] = self._acks.quantiles_ms(samples, 0.5, 0.99)
        figures["loop_lag_ms"] = self._lags.quantiles_ms(samples, 0.99)[0]
        used = resource.getrusage(resource.RUSAGE_SELF)
        figures["cpu_seconds"] = used.ru_utime + used.ru_stime
        figures["memory_mb"] = _memory_mb()
        return figures


def _memory_mb() -> float:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


class Console:
    """A part of the node: tells its figures, and answers who asks for all."""

    name = "console"

    def __init__(
        self, server: Server, keys: Keys, node: str, address: str, is_allowed: Callable[[str], bool]
    ) -> None:
        self._server = server
        self._keys = keys
        self._node = node
        self._address = address
        self._is_allowed = is_allowed
        self._figures = Figures()
        self._draining = False
        self._task: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/console/nodes", self._nodes)]

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._tell_forever())

    async def drain(self, seconds: float) -> None:
        del seconds
        self._draining = True

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def check(self) -> str | None:
        return None

    async def _tell_forever(self) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                await self._tell()
            await asyncio.sleep(TOLD_EVERY_SECONDS)

    async def _tell(self) -> None:
        now = time.time_ns() // 1_000_000
        told = NodeFigures(self._node, self._address, now, self._draining, self._figures.read())
        await self._server.execute(
            "SET", self._keys.console(self._node), msgspec.json.encode(told), "PX", KEPT_MS
        )
        await self._server.execute("ZADD", self._keys.console_nodes, now, self._node)
        await self._server.execute("ZREMRANGEBYSCORE", self._keys.console_nodes, "-inf", now - KEPT_MS)

    async def nodes(self) -> list[NodeFigures]:
        names = await self._server.execute("ZRANGE", self._keys.console_nodes, 0, NODES_MAX - 1)
        told = [await self._server.execute("GET", self._keys.console(bytes(name).decode())) for name in names]
        return [msgspec.json.decode(one, type=NodeFigures) for one in told if one is not None]

    async def _nodes(self, request: web.Request) -> web.StreamResponse:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not self._is_allowed(key):
            return _failure(401, "A service key with the scope `console` is needed.", "AUTH_REQUIRED")
        try:
            nodes = await self.nodes()
        except Unavailable as error:
            return _failure(503, str(error), "UNAVAILABLE")
        answer = {
            "success": True,
            "message": "",
            "data": {"nodes": nodes},
            "timestamp": int(time.time() * 1000),
        }
        return fresh(msgspec.json.encode(answer), "application/json")


def _failure(status: int, message: str, code: str) -> web.Response:
    body = {
        "success": False,
        "message": message,
        "errors": {"code": code},
        "timestamp": int(time.time() * 1000),
    }
    answer = fresh(msgspec.json.encode(body), "application/json")
    answer.set_status(status)
    return answer
