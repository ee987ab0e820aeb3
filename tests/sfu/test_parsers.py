"""A million inputs for each parser of what strangers send; more by `python -m tests.fuzz`."""

from __future__ import annotations

import pytest

from tests.fuzz.registry import run
from tests.fuzz.targets.media import TARGETS

INPUTS = 1_000_000
SHARDS = 4
SEED = 20_261_121
NAMES = ("media-stun", "media-rtp", "media-rtcp", "media-extensions", "media-sdp")
BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", NAMES)
def test_a_million_inputs(name: str, shard: int) -> None:
    inputs = INPUTS // SHARDS
    run(BY_NAME[name], inputs, SEED, start=shard * inputs)
