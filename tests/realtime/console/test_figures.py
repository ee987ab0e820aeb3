"""The console's figures are those of /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram

from realtime.console.figures import Figures


def test_figures_are_sums_of_samples_and_quantiles_of_what_is_new() -> None:
    registry = CollectorRegistry()
    Gauge("flylive_connections", "x", registry=registry).set(7)
    seconds = Histogram("flylive_command_seconds", "x", ["domain"], buckets=(0.01, 0.1), registry=registry)
    figures = Figures(registry)
    for _time in range(98):
        seconds.labels("seat").observe(0.005)
    seconds.labels("chat").observe(0.05)
    seconds.labels("chat").observe(0.05)
    first = figures.read()
    assert first["connections"] == 7
    assert first["commands"] == 100
    assert (first["ack_p50_ms"], first["ack_p99_ms"]) == (10.0, 100.0)
    assert figures.read()["ack_p99_ms"] == 0.0
