"""Dockerfile, compose file and server configurations: well-formed, and true of this repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import crossplane
import yaml

from realtime import config
from tests.tidy.sources import ROOT

DOCKER = ROOT / "docker"


def _compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DOCKER / "compose.yaml").read_text()))


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint is not installed: it comes with the development lock file"
    done = subprocess.run([hadolint, DOCKER / "Dockerfile"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_everything_the_dockerfile_copies_exists_and_is_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split()
    lines = re.findall(r"^COPY (?!--from)(.*)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    for source in [word for line in lines for word in line.split()[:-1]]:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignore


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (.*)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")


def test_every_variable_of_the_node_is_a_setting() -> None:
    known = {config.variable_name(name) for name in config.fields()}
    known |= {config.PREFIX + name.replace(".", "_").upper() for name in config.fields()}
    image = re.findall(r"(FLYLIVE_\w+)=", (DOCKER / "Dockerfile").read_text())
    services = _compose()["services"].values()
    compose = [name for service in services for name in service.get("environment", {})]
    used = {name for name in [*image, *compose] if name.startswith("FLYLIVE_")}
    assert used - known == set()
    assert len(used) > 5


def test_every_variable_of_the_compose_file_has_an_example() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    examples = re.findall(r"^(\w+)=", (DOCKER / "example.env").read_text(), re.MULTILINE)
    assert set(re.findall(r"\$\{(\w+)", text)) == set(examples)


def test_the_example_keys_are_valid_settings() -> None:
    pairs = re.findall(r"^(FLYLIVE_\w+)=(.*)$", (DOCKER / "example.env").read_text(), re.MULTILINE)
    settings = config.load(environment=dict(pairs)).settings
    assert settings.auth.token_keys


def test_the_compose_file_is_closed_in_itself() -> None:
    compose = _compose()
    services, volumes = compose["services"], compose["volumes"]
    assert {"node-1", "node-2", "balancer", "valkey", "postgres", "prometheus", "grafana"} == set(services)
    for name, service in services.items():
        for needed in service.get("depends_on", {}):
            assert needed in services, f"{name} needs {needed}"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in volumes or (DOCKER / source).exists(), f"{name} mounts {source}"


def test_the_nodes_reach_each_other_by_their_own_names() -> None:
    services = _compose()["services"]
    for name in ("node-1", "node-2"):
        assert services[name]["environment"]["FLYLIVE_GATEWAY_ADVERTISED_URL"] == f"http://{name}:8080"


def test_no_two_services_publish_the_same_port() -> None:
    ports = [port for service in _compose()["services"].values() for port in service.get("ports", [])]
    published = [port.rsplit(":", 1)[0] + ("/udp" if port.endswith("/udp") else "") for port in ports]
    assert len(set(published)) == len(published)


def test_the_balancer_s_configuration_parses_and_knows_both_nodes() -> None:
    parsed = crossplane.parse(str(DOCKER / "nginx" / "nginx.conf"), check_ctx=True, check_args=True)
    assert parsed["errors"] == []
    text = (DOCKER / "nginx" / "nginx.conf").read_text()
    for node in ("node-1", "node-2"):
        assert f"server {node}:8080" in text


def test_prometheus_asks_both_nodes() -> None:
    settings = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())
    (job,) = settings["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["node-1:8080", "node-2:8080"]
