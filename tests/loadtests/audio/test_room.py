"""Users on one socket join a real node and are heard, as the benchmark has it."""

from __future__ import annotations

import math

from loadtests.benchmarks import audio
from loadtests.benchmarks.figures import Options


async def test_a_small_scene_is_measured_whole() -> None:
    scene = audio.Scene("small", "native", 6, slots=3)
    sample = await audio.measure(scene, Options(quick=True, log=False))
    assert sample["small"] > 0
    assert sample["small_lost"] == 0
    assert 0 < sample["small_p50"] <= sample["small_p99"]
    assert not math.isnan(sample["small_p99"])
    assert sample["small_cores"] < 1
