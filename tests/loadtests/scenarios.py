"""Small scenarios for tests."""

from typing import Any

from loadtests.traffic.scenario import Scenario, parse

MIXED: dict[str, Any] = {
    "name": "mixed",
    "title": "A small mixed room",
    "latency_sample": 1,
    "rooms": {"count": 2},
    "money": {"coins": 10_000},
    "groups": [
        {"behaviour": "speaker", "users": 4, "every_seconds": 0.5},
        {"behaviour": "talker", "users": 8, "every_seconds": 0.4},
        {"behaviour": "gifter", "users": 4, "every_seconds": 0.5},
        {"behaviour": "listener", "users": 14},
    ],
    "phases": [
        {"kind": "ramp", "users": 30, "seconds": 1.0},
        {"kind": "hold", "seconds": 1.5},
    ],
}


def mixed(**changes: Any) -> Scenario:
    return parse({**MIXED, **changes})
