"""Nodes killed in the middle of everything: gifts asked for until answered are paid once and told once."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from api.boards import Boards
from api.ledger.database import Database, pool_options
from api.ledger.verification import Verification
from realtime.keys import DEVELOPMENT_SERVICE_KEY
from state.events import GiftSent, Recorded
from tests.api.house import until
from tests.integration.nodes import Cluster, cluster
from tests.processes import NodeProcess

ROOM, OWNER = "lounge", "owner"
SENDERS = 6
KILLS = 3
RETRY_SECONDS = 0.05
KILL_EVERY_SECONDS = 1.0


@pytest.fixture
async def nodes(data_directory: Path, redis_url: str, database_url: str) -> AsyncIterator[Cluster]:
    async with cluster(data_directory, redis_url, database_url) as found:
        yield found


class Fans:
    """Clients that give gifts to whichever node answers."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.urls: list[str] = []
        self.paid: dict[str, str] = {}
        self.is_over = False

    async def post(self, url: str, path: str, body: Any, key: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {DEVELOPMENT_SERVICE_KEY}", "Idempotency-Key": key}
        async with self._http.post(f"{url}/v1{path}", json=body, headers=headers) as response:
            return response.status, await response.json()

    async def until_decided(self, path: str, body: Any, key: str, turns: Any) -> Any:
        """One request, with its key, at one node after the other until there is a definite answer."""
        while True:
            try:
                status, envelope = await self.post(self.urls[next(turns) % len(self.urls)], path, body, key)
            except (aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if status == 503:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            assert status in (200, 201), envelope
            return envelope["data"]

    async def give(self, sender: str) -> None:
        turns = itertools.count()
        for number in itertools.count():
            if self.is_over:
                return
            key = f"{sender}-{number}"
            body = {"gift_id": "rose", "quantity": 1, "recipients": [OWNER], "sender_id": sender}
            data = await self.until_decided(f"/rooms/{ROOM}/gifts", body, key, turns)
            self.paid[key] = data["transaction_id"]


async def heard(ear: Any, count: int) -> bool:
    return len(ear.told) >= count


async def killed_and_replaced(nodes: Cluster, fans: Fans, node: NodeProcess) -> NodeProcess:
    await asyncio.sleep(KILL_EVERY_SECONDS)
    await nodes.stop(node, signal.SIGKILL)
    fresh = await nodes.start()
    fans.urls[fans.urls.index(node.url)] = fresh.url
    return fresh


class Ear:
    """Hears all that the room is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_events(self, view: Any, events: list[Recorded]) -> None:
        self.told += [r.event.transaction_id for r in events if isinstance(r.event, GiftSent)]

    def on_reset(self, view: Any) -> None:
        raise AssertionError("the room's stream had a gap")

    def on_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        """Nothing that counts."""


@pytest.mark.timeout(300)
async def test_killed_nodes_neither_lose_nor_double_a_gift(nodes: Cluster, database_url: str) -> None:
    await nodes.room(ROOM, OWNER)
    ear = Ear()
    await nodes.kernel.followers.watch(ROOM, ear)
    timeout = aiohttp.ClientTimeout(total=3)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        fans = Fans(http)
        running = [await nodes.start(), await nodes.start()]
        fans.urls = [node.url for node in running]
        for number in range(SENDERS):
            body = {"amount": 10**9, "currency": "coins", "reason": "test", "reference": f"fill-{number}"}
            await fans.until_decided(
                f"/users/fan-{number}/credits", body, f"fill-{number}", itertools.count()
            )
        giving = [asyncio.create_task(fans.give(f"fan-{number}")) for number in range(SENDERS)]
        for turn in range(KILLS):
            running[turn % 2] = await killed_and_replaced(nodes, fans, running[turn % 2])
        fans.is_over = True
        await asyncio.gather(*giving)

    pool = await asyncpg.create_pool(database_url, **pool_options(size=2, timeout_ms=60_000))
    try:

        async def is_told() -> bool:
            return bool(await pool.fetchval("SELECT count(*) FROM ledger.outbox") == 0)

        await until(is_told, "everything told")
        assert len(set(fans.paid.values())) == len(fans.paid) > 50
        in_ledger = await pool.fetch(
            "SELECT transaction_id::text AS id FROM ledger.transactions WHERE kind = 'gift'"
        )
        assert sorted(row["id"] for row in in_ledger) == sorted(fans.paid.values())
        await until(lambda: heard(ear, len(fans.paid)), "everything heard")
        assert sorted(ear.told) == sorted(fans.paid.values())
        boards = Boards(nodes.kernel.server, prefix="fl")
        now_ms = nodes.kernel.environment.now_ms
        database = Database(pool, timeout_seconds=60.0)
        assert await Verification(database, boards, now_ms=now_ms).faults() == []
    finally:
        pool.terminate()
