"""The console's figures: those of /metrics, of every node, for who holds a key."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.processes import NodeProcess, running_node, wait_until

KEY = "development-service-key"


def nodes(node: NodeProcess, key: str = KEY) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        node.url + "/v1/console/nodes", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())["data"]["nodes"]
    return found


def named(node: NodeProcess) -> list[str]:
    return [found["node"] for found in nodes(node)]


def test_every_node_is_shown_by_every_node_with_the_figures_of_its_metrics(data_directory: Path) -> None:
    with running_node(data_directory) as one:
        urls = json.loads((data_directory / "urls.json").read_text())
        names = {"redis_url": "FLYLIVE_REDIS_URL", "database_url": "FLYLIVE_DATABASE_URL"}
        shared = {names[name]: url for name, url in urls.items() if name in names}
        with running_node(data_directory.with_name("second"), **shared) as other:
            wait_until(lambda: len(nodes(one)) == 2, "both nodes told of themselves")
            wait_until(lambda: named(one) == named(other), "both show the same")
        metrics = one.get("/metrics")
        assert "flylive_connections 0.0" in metrics
        assert all(node["figures"]["connections"] == 0 for node in nodes(one))
        wait_until(lambda: len(nodes(one)) == 1, "the ended node is gone")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            nodes(one, "guessed")
