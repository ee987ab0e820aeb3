"""The gateway's figures for /metrics.

Labels are few and their values are ours: domains of commands, codes of answers, reasons of disconnects. A
client can never make a new one.
"""

from __future__ import annotations

import asyncio
import time
from functools import cache
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


def _tasks() -> int:
    """Few, whatever the number of idle clients. Counted only when somebody asks, and outside a loop there are
    none."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


Gauge("flylive_tasks", "Tasks of the event loop.").set_function(_tasks)


def connect_accepted() -> None:
    _connects.labels("accepted").inc()
    _connections.inc()


def connect_refused() -> None:
    _connects.labels("refused").inc()


def disconnected(reason: str) -> None:
    _connections.dec()
    _disconnects.labels(reason).inc()


def answered(reply: dict[str, Any]) -> None:
    _answers_of("ok" if reply["ok"] else reply["error"]["code"]).inc()


def took(name: str, started: float) -> None:
    """One command that was decoded, so its name is one of ours; since `time.perf_counter()` was `started`."""
    _seconds_of(name.partition(":")[0]).observe(time.perf_counter() - started)


# To look a label up costs more than to count.
_answers_of = cache(_answers.labels)
_seconds_of = cache(_seconds.labels)


def passed_on(events: int, clients: int) -> None:
    _events.inc(events)
    _deliveries.inc(events * clients)
