"""The tap: who listens hears everything of the rooms asked for, nothing secret, and is never waited for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from realtime import tap as taps
from realtime.tap import Tap, tap_routes
from state.service_keys import ServiceKeys
from state.settings import Auth, ServiceKey

KEYS = ServiceKeys(
    Auth(
        service_key="the-key-of-every-scope",
        service_keys=(
            ServiceKey("recorder", "the-key-of-recorder", ("tap",)),
            ServiceKey("shop", "the-key-of-the-shop", ("gifts",)),
        ),
    )
)


@asynccontextmanager
async def listening(tap: Tap, query: str = "", key: str = "the-key-of-recorder") -> AsyncIterator[Any]:
    application = web.Application()
    application.add_routes(tap_routes(tap, KEYS.door("tap", lambda: 0)))
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/tap{query}"
    try:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {key}"}
            async with session.ws_connect(url, headers=headers) as socket:
                yield socket
    finally:
        await runner.cleanup()


async def lines(socket: Any, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += [json.loads(line) for line in (await socket.receive_bytes(timeout=30)).split(b"\n")]
    return found


def traffic(tap: Tap, room_id: str, client_id: str) -> None:
    tap.connect(client_id, f"user-{client_id}", room_id, "member")
    tap.command(client_id, 1, "room:join", {"token": "canary-token", "password": "canary-password"})
    tap.ack(client_id, 1, b'{"ok":true}')
    tap.room_event(room_id, "chat:message", b'{"seq":1}')
    tap.disconnect(client_id, "client left")


async def test_everything_that_passes_is_heard_in_order_without_secrets() -> None:
    tap = Tap(lambda: 7)
    async with listening(tap) as socket:
        traffic(tap, "r", "c")
        heard = await lines(socket, 5)
    assert [line["k"] for line in heard] == ["connect", "command", "ack", "event", "disconnect"]
    assert heard[1]["a"] == {"token": "***", "password": "***"}
    assert heard[2]["b"] == {"ok": True}
    assert "canary" not in json.dumps(heard)


async def test_only_the_rooms_asked_for() -> None:
    tap = Tap()
    async with listening(tap, "?room=b") as socket:
        traffic(tap, "a", "1")
        traffic(tap, "b", "2")
        assert {line.get("c", "2") for line in await lines(socket, 5)} == {"2"}


async def test_who_is_already_there_is_told_first() -> None:
    tap = Tap()
    tap.connect("c", "u", "r", "admin")
    async with listening(tap) as socket:
        (line,) = await lines(socket, 1)
    assert line["standing"] is True
    assert (line["u"], line["role"]) == ("u", "admin")


async def test_who_reads_too_slowly_is_cut_off_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "BACKLOG_LINES", 3)
    tap = Tap()
    async with listening(tap) as socket:
        traffic(tap, "r", "c")
        assert (await lines(socket, 1))[-1]["k"] == "overflow"
        assert (await socket.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE
    assert tap.clients == {}


@pytest.mark.parametrize("key", ["", "wrong", "the-key-of-the-shop"])
async def test_without_the_scope_nobody_listens(key: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
        async with listening(Tap(), key=key):
            pass


@pytest.mark.parametrize("key", ["the-key-of-recorder", "the-key-of-every-scope"])
async def test_with_the_scope_one_listens(key: str) -> None:
    async with listening(Tap(), key=key) as socket:
        assert not socket.closed
