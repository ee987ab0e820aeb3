"""The console's figures: those of /metrics, of every node, for who holds a key."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram

from realtime.console import Figures
from tests.processes import NodeProcess, running_node, wait_until

KEY = "development-service-key"


def nodes(node: NodeProcess, key: str = KEY) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        node.url + "/v1/console/nodes", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())["data"]["nodes"]
    return found


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


def test_every_node_is_shown_by_every_node_with_the_figures_of_its_metrics(data_directory: Path) -> None:
    with running_node(data_directory) as one:
        urls = json.loads((data_directory / "urls.json").read_text())
        names = {"redis_url": "FLYLIVE_REDIS_URL", "database_url": "FLYLIVE_DATABASE_URL"}
        shared = {names[name]: url for name, url in urls.items() if name in names}
        with running_node(data_directory.with_name("second"), **shared) as other:
            wait_until(lambda: len(nodes(one)) == 2, "both nodes told of themselves")
            assert [node["node"] for node in nodes(one)] == [node["node"] for node in nodes(other)]
        metrics = one.get("/metrics")
        assert "flylive_connections 0.0" in metrics
        assert all(node["figures"]["connections"] == 0 for node in nodes(one))
        wait_until(lambda: len(nodes(one)) == 1, "the ended node is gone")


def test_without_a_key_nothing_is_shown(data_directory: Path) -> None:
    with running_node(data_directory) as node:
        with pytest.raises(urllib.error.HTTPError) as refused:
            nodes(node, "guessed")
        assert refused.value.code == 401
