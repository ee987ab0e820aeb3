"""One scenario in this process: prepare, play, watch, judge."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import msgspec

from loadtests.clients.rest import UNREACHABLE, CallFailed, Rest
from loadtests.clients.streams import Connection
from loadtests.exits import BROKEN, DONE, FAILED
from loadtests.measures import Measures
from loadtests.traffic import world
from loadtests.traffic.audio import AudioPart, AudioStage
from loadtests.traffic.observing import Stage
from loadtests.traffic.player import Player
from loadtests.traffic.scenario import Scenario, Threshold
from loadtests.traffic.steps import User
from loadtests.traffic.watching import Show, own_warnings, show_nothing, watching


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


def judge(scenario: Scenario, measures: Measures) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(measure, threshold, measures.value(measure))
        for measure, threshold in scenario.thresholds.items()
    )


async def play(
    scenario: Scenario,
    url: str,
    service_key: str,
    *,
    metrics_urls: Sequence[str] | None = None,
    show: Show = show_nothing,
) -> Result:
    """Run a scenario against a server; a server that cannot be prepared gives a result with `failure`."""
    measures, started_at, run_id = Measures(), time.time(), world.new_run_id()
    async with contextlib.AsyncExitStack() as context:
        # Unbounded: whoever polls holds a connection all the time.
        rest = await context.enter_async_context(Rest(url, service_key, connections=0))
        watched = [await context.enter_async_context(Rest(node, "")) for node in metrics_urls or [url]]
        try:
            await world.make_rooms(scenario, rest, run_id)
            users = world.people(scenario, run_id, service_key)
            await world.gather_bounded(world.equip(scenario, rest, user) for user in users)
        except (CallFailed, *UNREACHABLE) as problem:
            return Result(scenario, measures, (), started_at, 0.0, (), f"could not prepare: {problem}")
        stage, failure = Stage(url, measures), None
        async with watching(stage, scenario, watched, show):
            await _perform(scenario, stage, rest, users)
        try:
            await world.gather_bounded(world.settle_money(scenario, rest, user, measures) for user in users)
        except (CallFailed, *UNREACHABLE) as problem:
            failure = f"could not check the wallets: {problem}"
    verdicts, warnings = judge(scenario, measures), own_warnings(measures)
    return Result(scenario, measures, verdicts, started_at, time.time() - started_at, warnings, failure)


async def _perform(scenario: Scenario, stage: Stage, rest: Rest, users: Sequence[User]) -> None:
    audio = AudioStage(stage)
    players = [
        Player(stage, Connection, rest, user, number % scenario.latency_sample == 0, AudioPart(audio, user))
        for number, user in enumerate(users)
    ]
    stage.begin()
    await asyncio.gather(*(player.play() for player in players))
