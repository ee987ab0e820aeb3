"""What a load run observed: latencies in histograms, counts, errors by code, each over time.

A histogram has logarithmic buckets 4 % wide, so a percentile is at most 4 % off, adding one value costs an
array increment, and histograms of several processes add up. Time is cut into seconds since the start; the
summary is made of the same buckets.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

GROWTH = 1.04
_LOG_GROWTH = math.log(GROWTH)
SMALLEST_SECONDS = 1e-5


def bucket_of(seconds: float) -> int:
    if seconds <= SMALLEST_SECONDS:
        return 0
    return 1 + int(math.log(seconds / SMALLEST_SECONDS) / _LOG_GROWTH)


def value_of(bucket: int) -> float:
    """The upper end of a bucket: a percentile never flatters."""
    return float(SMALLEST_SECONDS * GROWTH**bucket)


class Histogram:
    """Counts per bucket."""

    def __init__(self, counts: Mapping[int, int] | None = None):
        self.counts: Counter[int] = Counter(counts or {})

    def add(self, seconds: float) -> None:
        self.counts[bucket_of(seconds)] += 1

    def merge(self, other: "Histogram") -> None:
        self.counts.update(other.counts)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def percentile(self, share: float) -> float:
        """The value below which this share (0..1) of all values lies; 0 when there is none."""
        wanted, seen = math.ceil(share * self.total), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return value_of(bucket)
        return 0.0


class Series:
    """One kind of thing (a command, a REST call, an event): successes with latency, failures with code."""

    def __init__(self) -> None:
        self.whole = Histogram()
        self.seconds: dict[int, Histogram] = {}
        self.errors: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()

    def add(self, second: int, latency_seconds: float) -> None:
        bucket = bucket_of(latency_seconds)
        self.whole.counts[bucket] += 1
        histogram = self.seconds.get(second)
        if histogram is None:
            histogram = self.seconds[second] = Histogram()
        histogram.counts[bucket] += 1


class Measures:
    """Everything one load process observed. `clock` is seconds since the run began."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, dict[int, float]] = {}
        self.errors_by_second: Counter[int] = Counter()
        self.problems: dict[str, str] = {}

    def of(self, name: str) -> Series:
        series = self.series.get(name)
        if series is None:
            series = self.series[name] = Series()
        return series

    def success(self, name: str, clock: float, latency_seconds: float) -> None:
        self.of(name).add(int(clock), latency_seconds)

    def refused(self, name: str, clock: float, latency_seconds: float, code: str) -> None:
        """A refusal the behaviour reckoned with: it took time, it is counted, it is no error."""
        self.of(name).add(int(clock), latency_seconds)
        self.of(name).refusals[code] += 1

    def failed(self, name: str, clock: float, code: str, example: str = "") -> None:
        self.of(name).errors[code] += 1
        self.errors_by_second[int(clock)] += 1
        self.problems.setdefault(f"{name} {code}", example)

    def gauge(self, name: str, clock: float, value: float) -> None:
        self.gauges.setdefault(name, {})[int(clock)] = value

    @property
    def error_count(self) -> int:
        return sum(series.errors.total() for series in self.series.values())

    @property
    def operation_count(self) -> int:
        return sum(
            series.whole.total for name, series in self.series.items() if not name.startswith("event ")
        )

    def merge(self, packed: Mapping[str, Any]) -> None:
        """Add what another process observed (`pack`ed there)."""
        for name, (seconds, errors, refusals) in packed["series"].items():
            own = self.of(name)
            for second, counts in seconds.items():
                histogram = Histogram({int(bucket): count for bucket, count in counts.items()})
                own.whole.merge(histogram)
                own.seconds.setdefault(int(second), Histogram()).merge(histogram)
            own.errors.update(errors)
            own.refusals.update(refusals)
        self.counters.update(packed["counters"])
        self.errors_by_second.update({int(key): value for key, value in packed["errors_by_second"].items()})
        for name, values in packed["gauges"].items():
            self.gauges.setdefault(name, {}).update({int(key): value for key, value in values.items()})
        self.problems = {**packed["problems"], **self.problems}

    def pack(self) -> dict[str, Any]:
        """Plain types with string keys, for another process to merge."""
        return {
            "series": {
                name: (
                    {str(second): _named(histogram.counts) for second, histogram in series.seconds.items()},
                    dict(series.errors),
                    dict(series.refusals),
                )
                for name, series in self.series.items()
            },
            "counters": dict(self.counters),
            "errors_by_second": _named(self.errors_by_second),
            "gauges": {name: _named(values) for name, values in self.gauges.items()},
            "problems": self.problems,
        }

    def value(self, measure: str) -> float | None:
        """The value a threshold names: "room:join.p95_ms", "errors.ratio", "seq_gaps.count",
        "server cpu.max"; None when nothing was observed under that name."""
        name, _, what = measure.rpartition(".")
        if name == "errors":
            return self.error_count / max(1, self.operation_count + self.error_count)
        if name in self.gauges:
            return _statistic(self.gauges[name].values(), what)
        if what == "count" and name not in self.series:
            return float(self.counters[name])
        series = self.series.get(name)
        if series is None:
            return None
        if what.startswith("p") and what.endswith("_ms"):
            return series.whole.percentile(float(what[1:-3]) / 100) * 1000
        totals = {"count": series.whole.total, "errors": series.errors.total()}
        return float(totals[what]) if what in totals else _rate(series, what)


def _named(counts: Mapping[int, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in counts.items()}


def _statistic(values: Iterable[float], what: str) -> float | None:
    listed = sorted(values)
    if not listed:
        return None
    if what == "max":
        return listed[-1]
    if what == "mean":
        return sum(listed) / len(listed)
    return listed[len(listed) // 2] if what == "median" else None


def _rate(series: Series, what: str) -> float | None:
    if what != "per_second" or not series.seconds:
        return None
    return series.whole.total / (max(series.seconds) - min(series.seconds) + 1)
