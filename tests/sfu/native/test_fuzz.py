"""A million hostile inputs, on every run of the tests."""

from __future__ import annotations

from tests.sfu.native import fuzz

INPUTS = 1_000_000


def test_a_million_inputs_break_nothing() -> None:
    result = fuzz.run(INPUTS, seed=1)
    assert result.returncode == 0, result.stdout + result.stderr
