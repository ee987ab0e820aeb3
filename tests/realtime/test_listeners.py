"""Which ports a node opens, and that people of the same network can reach the room page with a microphone."""

from __future__ import annotations

import contextlib
import socket
import ssl
import urllib.request
from pathlib import Path

import pytest

from loadtests.benchmarks.processes import free_port
from realtime.failures import CannotStart
from realtime.listeners import HTTPS_OFFSET, bound_socket, opened_listeners
from state.settings import Node
from tests.processes import running_node


def test_on_loopback_there_is_only_http(tmp_path: Path) -> None:
    with opened_listeners(Node(port=0), tmp_path) as listeners:
        assert listeners.secure is None
    assert not list(tmp_path.iterdir())


def test_behind_a_balancer_there_is_only_http(tmp_path: Path) -> None:
    node = Node(host="0.0.0.0", port=0, public_url="https://live.example")
    with opened_listeners(node, tmp_path) as listeners:
        assert listeners.secure is None


def test_beyond_loopback_there_is_https_beside_it(tmp_path: Path) -> None:
    with opened_listeners(Node(host="0.0.0.0", port=0), tmp_path) as listeners:
        assert listeners.secure is not None
        port = listeners.secure.socket.getsockname()[1]
        assert port != listeners.plain.getsockname()[1]
        assert listeners.secure.url.startswith("https://")
        assert listeners.secure.url.endswith(f":{port}")


def free_neighbours() -> tuple[socket.socket, socket.socket]:
    """Two held ports as far apart as the plain and the https port of one node."""
    while True:
        with contextlib.suppress(CannotStart):  # somebody else has one
            plain = bound_socket("0.0.0.0", free_port())
            try:
                return plain, bound_socket("0.0.0.0", plain.getsockname()[1] + HTTPS_OFFSET)
            except CannotStart:
                plain.close()


def test_nodes_on_neighbouring_ports_do_not_meet(tmp_path: Path) -> None:
    plain, taken = free_neighbours()
    port = plain.getsockname()[1]
    plain.close()
    with taken, opened_listeners(Node(host="0.0.0.0", port=port), tmp_path) as node:
        assert node.secure is not None
        assert node.secure.socket.getsockname()[1] != taken.getsockname()[1]


def test_a_taken_https_port_is_named(tmp_path: Path) -> None:
    with bound_socket("0.0.0.0", 0) as taken:
        taken.listen()
        node = Node(host="0.0.0.0", port=0, https_port=taken.getsockname()[1])
        with (
            pytest.raises(CannotStart, match=str(node.https_port)),
            opened_listeners(node, tmp_path),
        ):
            pass


def test_a_node_on_the_network_serves_the_room_page_over_https(data_directory: Path) -> None:
    with running_node(data_directory, "--host", "0.0.0.0") as node:
        link = next(line.strip() for line in node.output.splitlines() if line.strip().startswith("https://"))
        trust = ssl.create_default_context(cafile=str(data_directory / "https.pem"))
        with urllib.request.urlopen(link, context=trust, timeout=10) as answer:
            assert answer.status == 200
            assert b"/static/room/main.js" in answer.read()
