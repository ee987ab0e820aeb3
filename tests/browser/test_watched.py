"""The console during a small load test; the large one has a command of its own, see watched.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.watched import watch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


async def test_the_console_agrees_with_the_metrics_and_stays_smooth(data_directory: Path) -> None:
    sight = await watch(data_directory, users_factor=0.05, time_factor=0.3)
    assert sight.connections == (50, 50)
    for figure in ("deliveries", "commands"):
        console, metrics = sight.rates[figure]
        assert console == pytest.approx(metrics, rel=0.3), figure
    # Generous: the test's machine is small and busy.
    assert sight.frame_ms(0.5) < 100
    assert sum(length >= 1000 for length in sight.long_tasks) <= 1, sight.long_tasks
