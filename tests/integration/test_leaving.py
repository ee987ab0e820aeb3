"""How a node leaves: readiness first, then a word to the clients, then their sockets, then its children."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import socketio

from realtime.keys import room_token, with_keys
from state.settings import Settings
from tests.processes import NodeProcess, processes_with, running_node, wait_until

CLIENTS = 10
# Longer than a busy machine may take to ask for the readiness and to read the answer.
NOTICE_SECONDS = 5.0
WAIT_SECONDS = 60
DRAIN_SECONDS = 3.0


class Guest:
    """A client that writes down when it was told and when it was let go."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.told: tuple[float, Any] | None = None
        self.gone = asyncio.Event()
        self.gone_at = 0.0
        self.client.on("sys:draining", self._on_draining)
        self.client.on("disconnect", self._on_disconnect)

    async def join(self, url: str, token: str) -> None:
        await self.client.connect(
            url, auth={"token": token}, transports=["websocket"], wait_timeout=WAIT_SECONDS
        )
        assert (await self.client.call("room:join", {}))["ok"]

    def _on_draining(self, body: Any, *_position: Any) -> None:
        self.told = (time.monotonic(), body)

    def _on_disconnect(self, *_reason: Any) -> None:
        self.gone_at = time.monotonic()
        self.gone.set()


async def _leave(node: NodeProcess, data: Path) -> tuple[float, list[Guest]]:
    settings = with_keys(Settings(), data).settings
    guests = [Guest() for _ in range(CLIENTS)]
    for number, guest in enumerate(guests):
        await guest.join(node.url, room_token(settings, "lobby", f"guest-{number}"))
    node.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(wait_until, lambda: node.status("/readyz") == 503, "readiness down")
    unready_at = time.monotonic()
    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.gather(*(guest.gone.wait() for guest in guests))
    return unready_at, guests


async def test_readiness_then_a_word_then_the_sockets_then_the_children(data_directory: Path) -> None:
    with running_node(
        data_directory,
        FLYLIVE_NODE_DRAIN_NOTICE_SECONDS=str(NOTICE_SECONDS),
        FLYLIVE_NODE_DRAIN_SECONDS=str(DRAIN_SECONDS),
    ) as node:
        unready_at, guests = await _leave(node, data_directory)
        for guest in guests:
            assert guest.told is not None
            told_at, body = guest.told
            assert unready_at < told_at < guest.gone_at
            assert body["reconnect_in_ms"] >= 0
        # Not all at once: the nodes that are left get them one after the other.
        assert len({round(guest.gone_at, 2) for guest in guests}) > 2
        assert await asyncio.to_thread(node.process.wait, WAIT_SECONDS) == 0
    assert not processes_with(str(data_directory))
