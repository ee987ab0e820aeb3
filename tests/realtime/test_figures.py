"""The gateway's figures count what clients do."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import socketio

from realtime.keys import room_token, with_keys
from state.settings import Settings
from tests.processes import NodeProcess, running_node

WAIT_SECONDS = 30
NAMES = (
    "flylive_connections",
    "flylive_room_events_total",
    'flylive_answers_total{code="ok"}',
    'flylive_answers_total{code="SEAT_INDEX_INVALID"}',
    'flylive_command_seconds_count{domain="seat"}',
)


def _figure(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


async def _visit(node: NodeProcess, data: Path) -> dict[str, float]:
    """One client joins, sits down and is refused once; returns the figures while it is there."""
    token = room_token(with_keys(Settings(), data).settings, "lobby", "grace")
    client, seated = socketio.AsyncClient(reconnection=False), asyncio.Event()
    client.on("seat:changed", lambda *_body: seated.set())
    await client.connect(node.url, auth={"token": token}, transports=["websocket"], wait_timeout=WAIT_SECONDS)
    assert (await client.call("room:join", {}))["ok"]
    assert (await client.call("seat:take", {"index": 3}))["ok"]
    assert not (await client.call("seat:take", {"index": 99}))["ok"]
    # Events come by another way than answers.
    await asyncio.wait_for(seated.wait(), WAIT_SECONDS)
    text = await asyncio.to_thread(node.get, "/metrics")
    await client.disconnect()
    names = (
        "flylive_connections",
        'flylive_answers_total{code="ok"}',
        "flylive_room_events_total",
        'flylive_answers_total{code="SEAT_INDEX_INVALID"}',
        'flylive_command_seconds_count{domain="seat"}',
    )
    return {name: _figure(text, name) for name in names}


async def _gone(node: NodeProcess) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            text = await asyncio.to_thread(node.get, "/metrics")
            if _figure(text, "flylive_connections") == 0:
                return


async def test_figures_count_what_clients_do(data_directory: Path) -> None:
    with running_node(data_directory) as node:
        seen = await _visit(node, data_directory)
        assert seen["flylive_connections"] == 1
        assert seen['flylive_answers_total{code="ok"}'] == 2
        assert seen['flylive_answers_total{code="SEAT_INDEX_INVALID"}'] == 1
        assert seen['flylive_command_seconds_count{domain="seat"}'] == 2
        assert seen["flylive_room_events_total"] >= 2
        await _gone(node)
