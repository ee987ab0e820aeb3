"""A million hostile inputs, on every run of the tests."""

from __future__ import annotations

from pathlib import Path

from tests.sfu.native import fuzz

INPUTS = 1_000_000


def test_a_million_inputs_break_nothing(tmp_path: Path) -> None:
    result = fuzz.run(fuzz.build(tmp_path), INPUTS, seed=1)
    assert result.returncode == 0, result.stdout + result.stderr
