"""The native engine under the contract of all engines, and on IPv6."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from sfu.engine import EngineOptions, Suite
from sfu.engines import open_engine
from tests.sfu.bench import Bench
from tests.sfu.contract_engine import EngineContract
from tests.sfu.contract_reports import ReportContract


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench("native")
    yield made
    made.close()


STUN = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)


class TestNativeEngine(EngineContract, ReportContract):
    """Everything of the contract."""


def test_ipv6_carries_packets() -> None:
    bench = Bench("native", socket.AF_INET6)
    speaker, listener = bench.client(), bench.client()
    bench.consumer(listener, bench.producer(speaker, 7))
    speaker.say(7, b"six")
    assert bench.heard(listener, 1)[0].payload == b"six"
    bench.close()


def test_one_socket_serves_both_families() -> None:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", 0))
    sock.setblocking(False)
    engine = open_engine("native", sock, EngineOptions())
    engine.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(5)
        client.sendto(STUN, ("127.0.0.1", sock.getsockname()[1]))
        assert select.select([engine.fileno()], [], [], 5)[0]
        ((data, address),) = engine.drain(0.0)
        assert data == STUN
        assert address == ("::ffff:127.0.0.1", client.getsockname()[1])
        engine.send(b"answer", address)
        assert client.recv(100) == b"answer"
        transport = engine.add_transport()
        engine.set_keys(transport, Suite.PLAIN, b"", b"")
        engine.add_address(transport, address)
        client.sendto(b"\x80" + bytes(20), ("127.0.0.1", sock.getsockname()[1]))
        deadline = time.monotonic() + 5
        while engine.transport_stats(transport).packets_received == 0:
            assert time.monotonic() < deadline
    engine.close()
    sock.close()
