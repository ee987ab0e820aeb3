"""What a node says of itself: alive, ready or why not, and its figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from realtime import health
from realtime.health import Health, LoopWatch


class Dependencies:
    """Checks whose answers a test sets."""

    def __init__(self) -> None:
        self.is_draining = False
        self.reason: str | None = None
        self.failure: Exception | None = None
        self.hangs = False

    async def check(self) -> str | None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return self.reason

    def health(self) -> Health:
        return Health({"valkey": self.check}, lambda: self.is_draining)


@pytest.fixture
def dependencies() -> Dependencies:
    return Dependencies()


@pytest.fixture
async def client(dependencies: Dependencies) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    application = web.Application()
    application.add_routes(dependencies.health().routes())
    async with TestClient(TestServer(application)) as client:
        yield client


Client = TestClient[web.Request, web.Application]


async def test_ready_when_every_check_says_so(client: Client) -> None:
    answer = await client.get("/readyz")
    assert answer.status == 200
    assert await answer.json() == {"status": "ok", "checks": {"valkey": "ok", "node": "ok"}}


async def test_a_reason_a_failure_or_silence_is_not_ready(
    client: Client, dependencies: Dependencies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    dependencies.reason = "no worker"
    assert await _unready(client) == "no worker"
    dependencies.reason, dependencies.failure = None, ConnectionError("refused\nsecond line")
    assert await _unready(client) == "ConnectionError: refused"
    dependencies.failure, dependencies.hangs = None, True
    assert await _unready(client) == "no answer"


async def _unready(client: Client) -> str:
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert (await client.get("/healthz")).status == 200
    return str((await answer.json())["checks"]["valkey"])


async def test_a_draining_node_is_not_ready(client: Client, dependencies: Dependencies) -> None:
    dependencies.is_draining = True
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert (await answer.json())["checks"]["node"] == "draining"


async def test_metrics_are_in_the_text_format(client: Client) -> None:
    await client.get("/readyz")
    answer = await client.get("/metrics")
    assert answer.content_type == "text/plain"
    assert "\nflylive_ready 1.0\n" in await answer.text()


async def test_a_stalled_loop_is_noticed_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LAG_MEMORY_SECONDS", 0.5)
    watch = LoopWatch(limit_ms=100)
    await watch.start()
    await asyncio.sleep(0)
    time.sleep(0.4)  # noqa: ASYNC251 - the stall itself
    async with asyncio.timeout(30):
        while await watch.check() is None:
            await asyncio.sleep(0.01)
        while await watch.check() is not None:
            await asyncio.sleep(0.01)
    await watch.stop()
