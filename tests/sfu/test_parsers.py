"""A million inputs for each parser of what strangers send; more by `python -m tests.fuzz --target media-rtp`.

The generator is seeded once per block of inputs: seeding costs more than parsing.
"""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets.media import TARGETS

INPUTS = 1_000_000
SHARDS = 4
BLOCK = 1_000
SEED = 20_261_121
NAMES = ("media-stun", "media-rtp", "media-rtcp", "media-extensions", "media-sdp")
BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", NAMES)
def test_a_million_inputs(name: str, shard: int) -> None:
    make, check = BY_NAME[name].make, BY_NAME[name].check
    for block in range(INPUTS // SHARDS // BLOCK):
        chance = random.Random(f"{SEED}/{name}/{shard}/{block}")
        made: object = None
        try:
            for _ in range(BLOCK):
                made = make(chance)
                check(made)
        except Exception as error:
            raise AssertionError(f"{name}, shard {shard}, block {block}: {made!r}") from error
