"""How often one may call: the generic cell rate algorithm, one number per caller.

The number is the time at which the caller's allowance is full again. A call moves it by one interval; a call
that would move it further ahead than the burst allows is refused with the time to wait. Counts are per node.
"""

from __future__ import annotations

from collections.abc import Hashable

from msgspec import Struct


class Rate(Struct, frozen=True):
    """So many a second in the long run, so many at once."""

    per_second: float
    burst: int


class Rates:
    """The allowances of many callers. The least recently seen are forgotten: theirs are full long since."""

    def __init__(self, callers_max: int = 100_000) -> None:
        self._callers_max = callers_max
        self._full_at: dict[Hashable, float] = {}

    def wait_seconds(self, caller: Hashable, rate: Rate, now_seconds: float) -> float:
        """Spends one call and returns 0, or returns how long to wait."""
        interval = 1 / rate.per_second
        full_at = max(self._full_at.pop(caller, now_seconds), now_seconds)
        ahead = full_at + interval - now_seconds - rate.burst * interval
        if ahead > 1e-9:
            self._full_at[caller] = full_at
            return ahead
        self._full_at[caller] = full_at + interval
        if len(self._full_at) > self._callers_max:
            del self._full_at[next(iter(self._full_at))]
        return 0.0
