"""A short soak; the long one is `python -m tests.sfu.soak`."""

from __future__ import annotations

import pytest

from tests.sfu.soak import soak

SPEAKERS, LISTENERS, SECONDS = 10, 30, 8.0
GROWTH_BYTES = 8 << 20


@pytest.mark.parametrize("engine", ["auto", "python"])
async def test_a_full_room_loses_nothing(redis_url: str, engine: str) -> None:
    outcome = await soak(redis_url, SPEAKERS, LISTENERS, SECONDS, engine)
    assert outcome.counts["packet"] > LISTENERS * 3 * 50 * SECONDS / 2, outcome
    assert {what for what in outcome.counts if what not in ("packet", "silence")} <= {"missing"}, outcome
    assert outcome.counts["missing"] == 0, outcome
    assert outcome.figures["send_failures"] == 0
    assert outcome.grown_bytes < GROWTH_BYTES, outcome
