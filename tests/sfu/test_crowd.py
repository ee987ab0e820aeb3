"""A small storm of joins; the big one is `python -m tests.sfu.crowd`."""

from __future__ import annotations

import statistics

import pytest

from tests.sfu.crowd import crowd

JOINS, SECONDS = 100, 12
HEARD_SECONDS = 8.0
"""Three on a machine that does nothing else."""
LATENCY_MS = 20.0


@pytest.mark.parametrize("engine", ["auto", "python"])
async def test_a_storm_of_joins_is_heard_soon_and_stalls_nobody(redis_url: str, engine: str) -> None:
    outcome = await crowd(redis_url, JOINS, SECONDS, engine)
    assert not outcome.failed, outcome
    assert len(outcome.heard_seconds) == JOINS, outcome
    assert max(outcome.heard_seconds) < HEARD_SECONDS, outcome
    assert statistics.median(outcome.during_ms) < LATENCY_MS, outcome
