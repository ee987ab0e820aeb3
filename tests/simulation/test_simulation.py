"""The kernel through storms; the same seed gives the same run; and planted bugs do not go unseen."""

from typing import Any
from unittest import mock

import pytest

from state.audience import Audience
from tests.simulation.ledger import Ledger
from tests.simulation.mutations import MUTATIONS
from tests.simulation.world import World

WORLDS = 16
OPERATIONS = 12_500
MUTANT_SEEDS = range(900, 930)
MUTANT_OPERATIONS = 3_000

pytestmark = [
    pytest.mark.timeout(600),
    # A world that fails leaves nothing unawaited. What tests before it left is nothing of its own.
    pytest.mark.filterwarnings("error:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("error:Exception ignored .*coroutine:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("seed", range(1, WORLDS + 1))
def test_every_rule_holds_through_storms(seed: int) -> None:
    figures = World(seed, OPERATIONS).run()
    assert figures.operations >= OPERATIONS
    assert figures.losses > 0
    assert figures.restored > 0


def test_a_seed_replays_its_run() -> None:
    first, again = World(77, 1_000).run(), World(77, 1_000).run()
    assert first == again
    assert first.fingerprint != World(78, 1_000).run().fingerprint


@pytest.mark.parametrize(("owner", "name"), [(Audience, "_check"), (Ledger, "witness")])
def test_a_defect_that_the_kernel_outlives_is_found(owner: Any, name: str) -> None:
    with mock.patch.object(owner, name, side_effect=ZeroDivisionError), pytest.raises(ZeroDivisionError):
        World(1, 1_000).run()


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_found(name: str) -> None:
    with MUTATIONS[name].planted() as scripts:
        for seed in MUTANT_SEEDS:
            world = World(seed, MUTANT_OPERATIONS, scripts)  # a script that is no Lua would be no bug found
            try:
                world.run()
            except Exception:
                return
    pytest.fail(f"nobody noticed that {name}")
