"""The gateway's figures for /metrics.

Labels are few and their values are ours: domains of commands, codes of answers, reasons of disconnects. A
client can never make a new one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

_connections = Gauge("flylive_connections", "Clients connected to this node.")
_connects = Counter("flylive_connects", "Clients that asked to connect.", ["outcome"])
_disconnects = Counter("flylive_disconnects", "Clients that left, by reason.", ["reason"])
_answers = Counter("flylive_answers", "Answers to commands, by code.", ["code"])
_seconds = Histogram(
    "flylive_command_seconds",
    "From a command's arrival to its answer.",
    ["domain"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
_events = Counter("flylive_room_events", "Events of rooms that this node passed on.")
_deliveries = Counter("flylive_deliveries", "Events of rooms times the clients that got them.")
# Few, whatever the number of idle clients. Only counted when somebody asks, who does so from the loop.
Gauge("flylive_tasks", "Tasks of the event loop.").set_function(lambda: len(asyncio.all_tasks()))


def connect_accepted() -> None:
    _connects.labels("accepted").inc()
    _connections.inc()


def connect_refused() -> None:
    _connects.labels("refused").inc()


def disconnected(reason: str) -> None:
    _connections.dec()
    _disconnects.labels(reason).inc()


def answered(reply: dict[str, Any]) -> None:
    _answers.labels("ok" if reply["ok"] else reply["error"]["code"]).inc()


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Measures one command that was decoded, so its name is one of ours."""
    started = time.perf_counter()
    try:
        yield
    finally:
        _seconds.labels(name.partition(":")[0]).observe(time.perf_counter() - started)


def passed_on(events: int, clients: int) -> None:
    _events.inc(events)
    _deliveries.inc(events * clients)
