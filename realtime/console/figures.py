"""This process's figures for the console: those that `/metrics` serves, so that the two agree."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from pathlib import Path

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry

# Figure -> the samples that add up to it.
SUMS = {
    "connections": "flylive_connections",
    "deliveries": "flylive_deliveries_total",
    "commands": "flylive_command_seconds_count",
    "packets": "flylive_media_packets_forwarded_total",
    "packets_lost": "flylive_media_packets_lost_total",
    "gifts": "flylive_gifts_total",
}


class NodeFigures(msgspec.Struct, frozen=True):
    node: str
    address: str
    at: int
    draining: bool
    figures: dict[str, float]


class Buckets:
    """A histogram between two looks, from which a quantile is read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._before: dict[float, float] = {}

    def quantiles_ms(
        self, samples: Iterable[tuple[str, dict[str, str], float]], *wanted: float
    ) -> list[float]:
        counts: dict[float, float] = {}
        for name, labels, value in samples:
            if name == f"{self._name}_bucket":
                bound = float(labels["le"])
                counts[bound] = counts.get(bound, 0.0) + value
        fresh_counts = {bound: value - self._before.get(bound, 0.0) for bound, value in counts.items()}
        self._before = counts
        return [_quantile(fresh_counts, one) * 1000 for one in wanted]


def _quantile(counts: dict[float, float], wanted: float) -> float:
    """The bound of the bucket that holds it; 0 when nothing was measured."""
    total = max(counts.values(), default=0.0)
    finite = [bound for bound in sorted(counts) if bound != float("inf")]
    if total <= 0 or not finite:
        return 0.0
    return next((bound for bound in finite if counts[bound] >= wanted * total), finite[-1])


class Figures:
    """Reads this process's figures."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._acks = Buckets("flylive_command_seconds")
        self._lags = Buckets("flylive_loop_lag_seconds")

    def read(self) -> dict[str, float]:
        samples = [
            (sample.name, sample.labels, sample.value)
            for metric in self._registry.collect()
            for sample in metric.samples
        ]
        figures = {
            figure: sum(value for name, _, value in samples if name == wanted)
            for figure, wanted in SUMS.items()
        }
        figures["ack_p50_ms"], figures["ack_p99_ms"] = self._acks.quantiles_ms(samples, 0.5, 0.99)
        figures["loop_lag_ms"] = self._lags.quantiles_ms(samples, 0.99)[0]
        used = resource.getrusage(resource.RUSAGE_SELF)
        figures["cpu_seconds"] = used.ru_utime + used.ru_stime
        figures["memory_mb"] = _memory_mb()
        return figures


def _memory_mb() -> float:
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
