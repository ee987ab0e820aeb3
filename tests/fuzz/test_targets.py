"""Every target, bounded: the full size is `python -m tests.fuzz --inputs N`."""

import pytest

from tests.fuzz.registry import Target, all_targets, run

INPUTS = 2000
SEED = 20_261_120


@pytest.mark.parametrize("target", all_targets().values(), ids=all_targets())
def test_target(target: Target) -> None:
    run(target, INPUTS, SEED)
