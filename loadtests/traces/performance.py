"""A whole replay: copies of all rooms, played at once, watched, compared, judged."""

import asyncio
import itertools
import time
from pathlib import Path

import msgspec

from loadtests.clients.connection import Refused
from loadtests.clients.rest import UNREACHABLE, CallFailed, Rest
from loadtests.measures import Measures
from loadtests.traces.format import Trace
from loadtests.traces.plan import Plan, planned
from loadtests.traces.replay import Pace, RoomReplay
from loadtests.traces.stage import make_gifts, make_room
from loadtests.traffic.observing import Stage
from loadtests.traffic.run import Result, judge
from loadtests.traffic.scenario import Phase, Scenario, Threshold
from loadtests.traffic.watching import Show, own_warnings, show_nothing, watching
from loadtests.traffic.world import gather_bounded, new_run_id

SHOWN_DIFFERENCES = 20
ROOMS_AT_ONCE = 8
# With nobody acting any more, the server's own doings (away marks, announcements) come to rest.
REST_SECONDS = 1.0


class Wish(msgspec.Struct, frozen=True):
    """How a trace is to be played."""

    speed: float = 1.0
    clones: int = 1
    rounds: int | None = 1
    max_gap: float | None = None
    spread_seconds: float = 0.0
    check: bool = False
    thresholds: dict[str, Threshold] = {}

    def title(self, name: str) -> str:
        pace = f"{self.speed:g}x" if self.speed else "full speed"
        wide = f", {self.clones} copies" if self.clones > 1 else ""
        return f"Replay of {name} at {pace}{wide}{', compared' if self.check else ''}"


async def perform(
    trace: Trace, name: str, url: str, service_key: str, wish: Wish, show: Show = show_nothing
) -> Result:
    """Play a trace against a server."""
    plan = planned(trace, in_order=wish.check, max_gap=wish.max_gap)
    length = wish.spread_seconds + (plan.seconds / wish.speed if wish.speed else 0.0)
    hold = Phase("hold", length * (wish.rounds or 1))
    stem = Path(name).name.removesuffix(".gz").removesuffix(".jsonl")
    scenario = Scenario(f"replay-{stem}", wish.title(stem), (), (hold,), thresholds=wish.thresholds)
    measures, started_at, failure = Measures(), time.time(), None
    if wish.check and not trace.intact:
        measures.failed("check", 0, "TRACE_CHANGED", "the digest does not agree: the trace was cut or edited")
    async with Rest(url, service_key) as rest:
        stage = Stage(url, measures)
        try:
            async with watching(stage, scenario, [rest], show):
                await make_gifts(rest, plan.gifts)
                for _ in range(wish.rounds) if wish.rounds else itertools.count():
                    await _round(rest, stage, plan, wish)
        except (CallFailed, Refused, *UNREACHABLE) as problem:
            failure = f"the replay could not go on: {type(problem).__name__} {problem}"
    warnings = own_warnings(measures)
    verdicts = judge(scenario, measures)
    return Result(scenario, measures, verdicts, started_at, time.time() - started_at, warnings, failure)


async def _round(rest: Rest, stage: Stage, plan: Plan, wish: Wish) -> None:
    run_id, later = new_run_id(), wish.spread_seconds / wish.clones
    copies = [(room, copy) for room in plan.rooms for copy in range(wish.clones)]
    replays: list[RoomReplay] = await gather_bounded(
        (
            make_room(rest, stage, plan, room, f"{run_id}-{copy}", Pace(wish.speed, wish.check, copy * later))
            for room, copy in copies
        ),
        ROOMS_AT_ONCE,
    )
    stage.begin()
    try:
        await asyncio.gather(*(replay.play() for replay in replays))
        if wish.check:
            await asyncio.sleep(REST_SECONDS)
            await gather_bounded(_compare(rest, replay) for replay in replays)
    finally:
        _tell_differences(stage.measures, replays)
        for replay in replays:
            replay.close()


async def _compare(rest: Rest, replay: RoomReplay) -> None:
    replay.compare_end(await rest.snapshot(replay.names.room_id))


def _tell_differences(measures: Measures, replays: list[RoomReplay]) -> None:
    told = [difference for replay in replays for difference in replay.differences]
    for number, difference in enumerate(told):
        measures.failed("check", 0, "DIFFERS", difference)
        if number < SHOWN_DIFFERENCES:
            measures.problems[f"difference {number + 1}"] = difference
    measures.counters["rooms compared"] += sum(replay.plan.end is not None for replay in replays)
    measures.counters["watcher gaps"] += sum(replay.watcher.gaps for replay in replays)
