"""A million inputs for each parser of what strangers send; more by `python -m tests.fuzz --target media-rtp`."""

from __future__ import annotations

import pytest

from tests.fuzz.registry import run
from tests.fuzz.targets.media import TARGETS

INPUTS = 1_000_000
SHARDS = 4
SEED = 20_261_121
BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", BY_NAME)
def test_a_million_inputs(name: str, shard: int) -> None:
    share = INPUTS // SHARDS
    assert run(BY_NAME[name], share, SEED, start=shard * share) == share
