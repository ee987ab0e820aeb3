"""One scenario in this process: prepare, play, watch the server, judge.

The load process watches itself too: when its own CPU time nears a whole core, or its users act later than
they meant to, the figures say more about it than about the server, and the result says so.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import aiohttp
import msgspec

from loadtests.clients.rest import UNREACHABLE, CallFailed, Rest
from loadtests.measures import Measures
from loadtests.traffic import world
from loadtests.traffic.audio import AudioStage
from loadtests.traffic.observing import Stage
from loadtests.traffic.player import Player
from loadtests.traffic.scenario import Scenario, Threshold

DONE, FAILED, MISUSED, BROKEN = 0, 1, 2, 99
BUSY_SHARE = 0.8
LATE_MILLISECONDS = 100.0
METRICS_SECONDS = 5.0
METRICS = {
    "process_cpu_seconds_total": "server cpu seconds",
    "process_resident_memory_bytes": "server memory MiB",
}


class Verdict(msgspec.Struct, frozen=True):
    measure: str
    threshold: Threshold
    value: float | None

    @property
    def held(self) -> bool:
        return self.value is not None and self.threshold.holds(self.value)


class Result(msgspec.Struct, frozen=True):
    """A finished run."""

    scenario: Scenario
    measures: Measures
    verdicts: tuple[Verdict, ...]
    started_at: float
    seconds: float
    warnings: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def exit_code(self) -> int:
        ratio = self.measures.value("errors.ratio") or 0.0
        if self.failure is not None or ratio > self.scenario.tolerated_error_ratio:
            return FAILED
        return DONE if all(verdict.held for verdict in self.verdicts) else BROKEN


Show = Callable[[Scenario, Measures, float, int], None]


def show_nothing(_scenario: Scenario, _measures: Measures, _clock: float, _online: int) -> None:
    pass


def judge(scenario: Scenario, measures: Measures) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(measure, threshold, measures.value(measure))
        for measure, threshold in scenario.thresholds.items()
    )


def parse_metrics(text: str) -> dict[str, float]:
    """The few unlabelled samples of a Prometheus page that we draw."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name in METRICS:
            found[name] = float(value)
    return found


class Watch:
    """Samples the server's metrics and the load process's own CPU once a second."""

    def __init__(self, stage: Stage, metrics_urls: Sequence[str], show: Show, scenario: Scenario):
        self.stage, self.urls, self.show, self.scenario = stage, metrics_urls, show, scenario
        self.server_cpu: dict[str, tuple[float, float]] = {}
        self.own_cpu = time.process_time()

    async def run(self) -> None:
        """Until the stage is over. A server that is slow to answer holds up nobody but its own sampling."""
        timeout = aiohttp.ClientTimeout(total=METRICS_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            sampling = [
                asyncio.create_task(self._sample(session, url, f" {number}" if len(self.urls) > 1 else ""))
                for number, url in enumerate(self.urls)
            ]
            while not self.stage.over:
                before = time.monotonic()
                await asyncio.sleep(1.0)
                self._own(time.monotonic() - before)
                self.show(self.scenario, self.stage.measures, self.stage.clock(), self.stage.online)
            for task in sampling:
                task.cancel()

    async def _sample(self, session: aiohttp.ClientSession, url: str, suffix: str) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self._server(session, url, suffix)

    def _own(self, elapsed: float) -> None:
        used, measures = time.process_time(), self.stage.measures
        measures.gauge("load cpu", self.stage.clock(), (used - self.own_cpu) / max(elapsed, 1e-9))
        measures.gauge("users", self.stage.clock(), self.stage.online)
        self.own_cpu = used

    async def _server(self, session: aiohttp.ClientSession, url: str, suffix: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"{url}/metrics") as response:
                sample = parse_metrics(await response.text()) if response.status == 200 else {}
            clock, measures = self.stage.clock(), self.stage.measures
            if "process_resident_memory_bytes" in sample:
                memory = sample["process_resident_memory_bytes"] / 2**20
                measures.gauge(f"server memory MiB{suffix}", clock, memory)
            if "process_cpu_seconds_total" in sample:
                used = sample["process_cpu_seconds_total"]
                if url in self.server_cpu:
                    last_used, last_moment = self.server_cpu[url]
                    share = (used - last_used) / max(time.monotonic() - last_moment, 1e-9)
                    measures.gauge(f"server cpu{suffix}", clock, share)
                self.server_cpu[url] = (used, time.monotonic())


def own_warnings(measures: Measures) -> tuple[str, ...]:
    """What to know before believing the figures."""
    warnings = []
    busy = measures.value("load cpu.max")
    if busy is not None and busy > BUSY_SHARE:
        warnings.append(
            f"the load process itself used up to {busy:.0%} of a core: latencies may be its own; "
            "use --workers or fewer users"
        )
    late = measures.value("lag.p99_ms")
    if late is not None and late > LATE_MILLISECONDS:
        warnings.append(f"users acted up to {late:.0f} ms later than they meant to (p99)")
    return tuple(warnings)


async def play(
    scenario: Scenario,
    url: str,
    service_key: str,
    *,
    metrics_urls: Sequence[str] | None = None,
    show: Show = show_nothing,
    part: tuple[int, int] = (0, 1),
    run_id: str | None = None,
) -> Result:
    """Run a scenario against a server; a server that cannot be prepared gives a result with `failure`."""
    measures, started_at = Measures(), time.time()
    async with Rest(url, service_key) as rest:
        run_id = run_id or world.new_run_id()
        try:
            if part[0] == 0:
                await world.make_rooms(scenario, rest, world.room_ids(scenario, run_id))
            users = world.people(scenario, run_id, service_key, part)
            place = await world.equip(scenario, rest, users)
        except (CallFailed, *UNREACHABLE) as problem:
            return Result(scenario, measures, (), started_at, 0.0, (), f"could not prepare: {problem}")
        stage = Stage(url, measures)
        await _perform(place, stage, rest, Watch(stage, metrics_urls or [url], show, scenario))
        failure = await _settle_money(place, rest, measures)
    seconds = time.time() - started_at
    verdicts = judge(scenario, measures)
    return Result(scenario, measures, verdicts, started_at, seconds, own_warnings(measures), failure)


async def _perform(place: world.World, stage: Stage, rest: Rest, watch: Watch) -> None:
    sample = place.scenario.latency_sample
    stage.begin()
    watching = asyncio.create_task(watch.run())
    audio = AudioStage(stage)
    players = [
        Player(stage, audio, rest, user, number % sample == 0) for number, user in enumerate(place.users)
    ]
    try:
        await asyncio.gather(*(player.play() for player in players))
    finally:
        stage.over = True
        await watching


async def _settle_money(place: world.World, rest: Rest, measures: Measures) -> str | None:
    """After the run: every gifter's wallet against what was acknowledged."""
    if not place.coins_at_start:
        return None
    try:
        differences = await world.money_differences(place, rest)
    except (CallFailed, *UNREACHABLE) as problem:
        return f"could not check the wallets: {problem}"
    measures.counters["money_differences"] += len(differences)
    for user_id, (expected, found) in list(differences.items())[:3]:
        measures.problems[f"wallet {user_id}"] = f"expected {expected} coins, found {found}"
    return None
