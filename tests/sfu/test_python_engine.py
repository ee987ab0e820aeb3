"""The Python engine under the contract of all engines, and on IPv6."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.sfu.bench import Bench
from tests.sfu.contract_engine import EngineContract
from tests.sfu.contract_reports import ReportContract


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench("python")
    yield made
    made.close()


class TestPythonEngine(EngineContract, ReportContract):
    """Everything of the contract."""


def test_ipv6_carries_packets() -> None:
    bench = Bench("python", socket.AF_INET6)
    speaker, listener = bench.client(), bench.client()
    bench.consumer(listener, bench.producer(speaker, 7))
    speaker.say(7, b"six")
    assert bench.heard(listener, 1)[0].payload == b"six"
    bench.close()
