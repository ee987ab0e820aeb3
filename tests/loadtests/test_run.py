"""A scenario, played and judged: what holds gives 0, errors 1, broken thresholds 99 and which."""

import asyncio
from typing import Any

import pytest

from loadtests.exits import BROKEN, DONE, FAILED
from loadtests.measures import Measures
from loadtests.reports.summary import document
from loadtests.reports.terminal import final
from loadtests.traffic.run import Result, play
from loadtests.traffic.watching import own_warnings
from tests.loadtests.double import SERVICE_KEY, Faults, double
from tests.loadtests.scenarios import mixed

HELD = {
    "room:join.p95_ms": {"at_most": 2000},
    "seq_gaps.count": {"at_most": 0},
    "events.count": {"at_least": 50},
}


async def played(faults: Faults | None = None, **changes: Any) -> Result:
    async with double(faults) as url:
        return await play(mixed(**changes), url, SERVICE_KEY)


async def test_a_run_whose_thresholds_hold_ends_with_0() -> None:
    result = await played(thresholds=HELD)
    assert result.exit_code == DONE, final(document(result))
    assert result.measures.series["room:join"].whole.total == 30
    assert result.measures.series["chat:send"].whole.total > 10
    assert result.measures.counters["money_differences"] == 0


async def test_a_broken_threshold_gives_99_and_is_named() -> None:
    result = await played(Faults(slow_seconds=0.05), thresholds={"chat:send.p50_ms": {"at_most": 20}})
    assert result.exit_code == BROKEN
    assert "BROKEN  chat:send.p50_ms <= 20" in final(document(result))


async def test_a_threshold_on_something_never_observed_is_broken() -> None:
    result = await played(thresholds={"chat:shout.p95_ms": {"at_most": 20}})
    assert result.exit_code == BROKEN
    assert "nothing observed" in final(document(result))


async def test_an_unexpected_refusal_is_an_error_and_gives_1() -> None:
    result = await played(Faults(refuse={"chat:send": "CHAT_DISABLED"}), thresholds=HELD)
    assert result.exit_code == FAILED
    assert result.measures.series["chat:send"].errors["CHAT_DISABLED"] > 0


async def test_a_refusal_that_the_behaviour_reckoned_with_is_no_error() -> None:
    result = await played(Faults(refuse={"seat:take": "SEAT_OCCUPIED"}))
    assert result.exit_code == DONE
    assert result.measures.series["seat:take"].refusals["SEAT_OCCUPIED"] == 4


async def test_a_lost_event_is_seen_as_a_gap_by_those_who_were_there() -> None:
    result = await played(Faults(lose_every=7), thresholds=HELD)
    assert result.exit_code == BROKEN
    assert result.measures.counters["seq_gaps"] > 0


async def test_a_server_that_dies_in_the_middle_gives_1_and_a_report() -> None:
    server = double()
    url = await server.__aenter__()
    run = asyncio.create_task(play(mixed(), url, SERVICE_KEY))
    await asyncio.sleep(1.3)
    await server.__aexit__(None, None, None)
    async with asyncio.timeout(60):
        result = await run
    assert result.exit_code == FAILED
    report = document(result)
    assert report["failure"] or report["errors"]
    assert report["rows"]


async def test_the_load_process_and_the_server_are_watched_from_the_start() -> None:
    measures = (await played()).measures
    for gauge in ("load cpu", "server cpu", "server memory MiB", "users"):
        assert len(measures.gauges[gauge]) >= 2, gauge


def test_a_load_process_that_nears_a_core_is_warned_about_on_any_worker() -> None:
    measures = Measures()
    measures.gauge("load cpu 12", 1.0, 0.95)
    measures.gauge("load cpu 13", 1.0, 0.2)
    (warning,) = own_warnings(measures)
    assert "95% of a core (load cpu 12)" in warning


async def test_a_server_that_is_not_there_gives_1() -> None:
    result = await play(mixed(), "http://127.0.0.1:9", SERVICE_KEY)
    assert result.exit_code == FAILED
    assert "could not prepare" in final(document(result))


@pytest.mark.parametrize("workers", [2, 3])
async def test_parts_of_a_run_make_up_the_whole(workers: int) -> None:
    from loadtests.traffic.world import people

    whole = {user.user_id for user in people(mixed(), "r", "key")}
    parts = [{user.user_id for user in people(mixed(), "r", "key", (k, workers))} for k in range(workers)]
    assert set().union(*parts) == whole
    assert sum(map(len, parts)) == len(whole) == 30
