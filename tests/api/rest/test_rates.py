"""Allowances: a burst at once, then the steady rate."""

from __future__ import annotations

from api.rest.rates import Rate, Rates

TEN = Rate(10.0, 3)


def test_a_burst_passes_and_then_the_steady_rate() -> None:
    rates = Rates()
    assert [rates.wait_seconds("ada", TEN, 100.0) for _ in range(3)] == [0, 0, 0]
    wait_seconds = rates.wait_seconds("ada", TEN, 100.0)
    assert 0.09 < wait_seconds < 0.11
    assert rates.wait_seconds("ada", TEN, 100.0 + wait_seconds) == 0
    assert rates.wait_seconds("ada", TEN, 100.0 + wait_seconds) > 0


def test_a_refused_call_costs_nothing_and_callers_do_not_share() -> None:
    rates = Rates()
    for _ in range(50):
        rates.wait_seconds("ada", TEN, 100.0)
    assert rates.wait_seconds("bob", TEN, 100.0) == 0
    assert rates.wait_seconds("ada", TEN, 100.11) == 0


def test_the_memory_is_bounded() -> None:
    rates = Rates(callers_max=10)
    for number in range(1_000):
        rates.wait_seconds(number, TEN, 100.0)
    assert len(rates._full_at) == 10
