"""Every figure the dashboard asks for is one that a node gives."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from typing import Any

import yaml
from prometheus_client import REGISTRY, CollectorRegistry

from realtime.rooms_part import KernelFigures
from sfu.metrics import MediaMetrics
from tests.tidy.sources import ROOT

DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "node.json"
NAME = re.compile(r"\b((?:flylive|process|python)_[a-z0-9_]+)\b")
FOLDERS = ("state", "realtime", "api", "sfu")


def _import_everything() -> None:
    """Metrics are declared where they are counted; the registry knows them once the module is loaded."""
    for folder in FOLDERS:
        package = importlib.import_module(folder)
        for module in pkgutil.walk_packages(package.__path__, f"{folder}."):
            if not module.name.rpartition(".")[2].startswith("_"):
                importlib.import_module(module.name)


def _registered() -> set[str]:
    """Names as they stand in /metrics, including those of metrics that have no sample yet."""
    _import_everything()
    names = set()
    # Some figures are registered when a node starts what they belong to.
    late = [*MediaMetrics("any", CollectorRegistry()).collect(), *KernelFigures(None).collect()]
    for metric in [*REGISTRY.collect(), *late]:
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
        names |= {metric.name + ending for ending in endings.get(metric.type, [""])}
    return names


def _expressions(panels: list[dict[str, Any]]) -> list[str]:
    found = []
    for panel in panels:
        found += [target["expr"] for target in panel.get("targets", [])]
        found += _expressions(panel.get("panels", []))
    return found


def test_every_metric_of_the_dashboard_is_registered() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = _expressions(dashboard["panels"])
    queries = [variable["query"] for variable in dashboard["templating"]["list"]]
    used = {name for text in expressions + queries for name in NAME.findall(text)}
    assert used - _registered() == set()
    assert len(expressions) >= 6


def test_panels_have_titles_units_and_their_own_ids() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_grafana_finds_the_dashboard_and_its_data() -> None:
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    uids = set(re.findall(r'"uid": "(prometheus)"', DASHBOARD.read_text()))
    assert uids == {source["uid"]}
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "flylive.yaml").read_text())["providers"]
    compose = (ROOT / "docker" / "compose.yaml").read_text()
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in compose
