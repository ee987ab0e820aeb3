"""Samples, once a second, what the run costs: the server's processor and memory by its metrics, and the load
process's own.

The load process watches itself because it can be the bottleneck: when its own CPU time nears a whole core, or
its users act later than they meant to, the figures say more about it than about the server, and the result
says so.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

from loadtests.clients.machinery import Asyncio, Machinery
from loadtests.clients.rest import UNREACHABLE, Request, RestCalls
from loadtests.measures import Measures
from loadtests.traffic.observing import Stage
from loadtests.traffic.scenario import Scenario

BUSY_SHARE = 0.8
LATE_MILLISECONDS = 100.0
SAMPLE_SECONDS = 1.0
LOAD_CPU = "load cpu"
SERVER_CPU, SERVER_MEMORY = "process_cpu_seconds_total", "process_resident_memory_bytes"

Show = Callable[[Scenario, Measures, float, int], None]


def show_nothing(_scenario: Scenario, _measures: Measures, _clock: float, _online: int) -> None:
    pass


def samples(page: str) -> dict[str, float]:
    """The few unlabelled samples of a Prometheus page that are drawn."""
    lines = (line.partition(" ") for line in page.splitlines())
    return {name: float(value) for name, _, value in lines if name in (SERVER_CPU, SERVER_MEMORY)}


class Meter:
    """Turns a growing count of CPU seconds into the share of a core since the last reading."""

    def __init__(self) -> None:
        self.last: tuple[float, float] | None = None

    def share(self, cpu_seconds: float) -> float | None:
        now, last = time.monotonic(), self.last
        self.last = (cpu_seconds, now)
        return None if last is None else (cpu_seconds - last[0]) / max(now - last[1], 1e-9)


class OwnUsage:
    """What this process uses, from now on."""

    def __init__(self, stage: Stage, name: str = LOAD_CPU):
        self.stage, self.name, self.meter = stage, name, Meter()
        self.meter.share(time.process_time())

    async def sample(self) -> None:
        clock, measures = self.stage.clock(), self.stage.measures
        measures.gauge(self.name, clock, self.meter.share(time.process_time()) or 0.0)
        measures.gauge("users", clock, self.stage.online)


class ServerUsage:
    """What a server says of itself. One that is slow to answer holds up nobody but its own sampling."""

    def __init__(self, stage: Stage, server: RestCalls, suffix: str = ""):
        self.stage, self.server, self.suffix, self.meter = stage, server, suffix, Meter()

    async def sample(self) -> None:
        try:
            response = await self.server.send(Request("GET", "/metrics"))
        except UNREACHABLE:
            return
        found = samples(response.body) if response.status == 200 else {}
        clock, measures = self.stage.clock(), self.stage.measures
        if SERVER_MEMORY in found:
            measures.gauge(f"server memory MiB{self.suffix}", clock, found[SERVER_MEMORY] / 2**20)
        if SERVER_CPU in found and (share := self.meter.share(found[SERVER_CPU])) is not None:
            measures.gauge(f"server cpu{self.suffix}", clock, share)


def server_usages(stage: Stage, servers: Sequence[RestCalls]) -> list[ServerUsage]:
    several = len(servers) > 1
    return [
        ServerUsage(stage, server, f" {number}" if several else "") for number, server in enumerate(servers)
    ]


async def watch(stage: Stage, machinery: Machinery, usage: OwnUsage | ServerUsage) -> None:
    """Until the stage is over."""
    while not stage.over:
        await machinery.sleep(SAMPLE_SECONDS)
        await usage.sample()


async def _show(stage: Stage, scenario: Scenario, show: Show) -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        show(scenario, stage.measures, stage.clock(), stage.online)


@contextlib.asynccontextmanager
async def watching(
    stage: Stage, scenario: Scenario, servers: Sequence[RestCalls], show: Show
) -> AsyncIterator[None]:
    """Watch, on asyncio, while the body runs; then the stage is over."""
    usages = server_usages(stage, servers)
    for usage in usages:
        # From before the first user on: the burst of a start is part of what is watched.
        await usage.sample()
    watched: list[OwnUsage | ServerUsage] = [*usages, OwnUsage(stage)]
    work = [watch(stage, Asyncio(), usage) for usage in watched]
    tasks = [asyncio.create_task(one) for one in [*work, _show(stage, scenario, show)]]
    try:
        yield
    finally:
        stage.over = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def own_warnings(measures: Measures) -> tuple[str, ...]:
    """What to know before believing the figures."""
    warnings = []
    for name in measures.gauges:
        busy = measures.value(f"{name}.max") if name.startswith(LOAD_CPU) else None
        if busy is not None and busy > BUSY_SHARE:
            warnings.append(
                f"the load process itself used up to {busy:.0%} of a core ({name}): latencies may be its "
                "own; use --workers or fewer users"
            )
    late = measures.value("lag.p99_ms")
    if late is not None and late > LATE_MILLISECONDS:
        warnings.append(f"users acted up to {late:.0f} ms later than they meant to (p99)")
    return tuple(warnings)
