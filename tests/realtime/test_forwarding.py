"""Polling requests at the wrong node: answered by the owner, and nobody can pretend to be a node."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from realtime.forwarding import HOP_HEADER, node_of, read_hop, sign_hop
from tests.realtime.hub import Hub
from tests.realtime.served import Served, served, token

SECRET = b"shared"
SID = "n1.abc"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def polling(node: Served, sid: str = "") -> str:
    return f"{node.url}/socket.io/?EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")


async def handshake(http: aiohttp.ClientSession, node: Served) -> str:
    async with http.get(polling(node)) as answer:
        return str(json.loads((await answer.text())[1:])["sid"])


async def test_a_session_works_over_any_node(hub: Hub, http: aiohttp.ClientSession) -> None:
    async with served(hub, "n1") as one, served(hub, "n2") as two, served(hub, "n3") as three:
        sid = await handshake(http, one)
        assert node_of(sid) == "n1"
        packet = "40" + json.dumps({"token": token("ann")})
        async with http.post(polling(two, sid), data=packet) as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        async with http.get(polling(three, sid)) as answer:
            assert (await answer.text()).startswith("40{")
        async with http.post(polling(two, sid), data='420["sys:time",{"t0":1}]') as answer:
            assert answer.status == 200
        async with http.get(polling(two, sid)) as answer:
            assert (await answer.text()).startswith('430[{"ok":true')


async def test_a_hanging_poll_is_passed_on_too(hub: Hub, http: aiohttp.ClientSession) -> None:
    async with served(hub, "n1") as one, served(hub, "n2") as two:
        sid = await handshake(http, one)
        async with http.post(polling(one, sid), data="40" + json.dumps({"token": token("ann")})):
            pass
        async with http.get(polling(two, sid)):
            pass
        poll = asyncio.create_task(http.get(polling(two, sid)))
        async with http.post(polling(one, sid), data='421["sys:time",{"t0":2}]'):
            pass
        async with await poll as answer:
            assert (await answer.text()).startswith('431[{"ok":true')


async def test_unknown_sessions_are_refused(hub: Hub, http: aiohttp.ClientSession) -> None:
    async with served(hub, "n1") as one, served(hub, "n2") as two:
        for sid in ("n1.unknown", "n9.unknown", "n2.unknown", "nonsense", ".x"):
            async with http.get(polling(two, sid)) as answer:
                assert answer.status == 400, sid
        sid = await handshake(http, one)
        headers = {HOP_HEADER: "1|10.0.0.1|forged"}
        async with http.get(polling(two, sid), headers=headers) as answer:
            assert answer.status == 403
        async with http.post(polling(one, sid), headers=headers, data="3") as answer:
            assert answer.status == 403
        now = time.time_ns() // 1_000_000
        headers = {HOP_HEADER: sign_hop(bytes(hub.keys["t:hop-secret"]), sid, "10.0.0.1", now)}
        async with http.get(polling(two, sid), headers=headers) as answer:
            assert answer.status == 400, "passed on once at most"


async def test_a_poll_that_is_given_up_ends_the_session(hub: Hub, http: aiohttp.ClientSession) -> None:
    async with served(hub, "n1") as one, served(hub, "n2") as two:
        sid = await handshake(http, one)
        async with http.post(polling(two, sid), data="40" + json.dumps({"token": token("ann")})):
            pass
        async with http.get(polling(two, sid)):
            pass
        eio = one.part.sockets.eio
        poll = asyncio.create_task(http.get(polling(two, sid)))
        async with asyncio.timeout(30):
            while eio.sockets[sid].poll is None:
                await asyncio.sleep(0.01)
            poll.cancel()
            while sid in eio.sockets:
                await asyncio.sleep(0.01)


async def test_a_node_that_has_gone(hub: Hub, http: aiohttp.ClientSession) -> None:
    async with served(hub, "n2") as two:
        async with served(hub, "n1") as one:
            sid = await handshake(http, one)
            hub.keys["t:{n:n9}:url"] = b"http://127.0.0.1:9"
        async with http.get(polling(two, sid)) as answer:
            assert answer.status == 400
        async with http.get(polling(two, "n9.x")) as answer:
            assert answer.status == 502


def test_a_hop_is_signed_for_one_session_and_a_short_time() -> None:
    header = sign_hop(SECRET, SID, "192.0.2.1", 1_000_000)
    assert read_hop(SECRET, SID, header, 1_005_000) == "192.0.2.1"
    assert read_hop(SECRET, SID, header, 1_011_000) is None
    assert read_hop(SECRET, "n1.other", header, 1_000_000) is None
    assert read_hop(b"another", SID, header, 1_000_000) is None
    for forged in ("", "|", "||", "1|2|3", header[:-1], header.replace("192.0.2.1", "192.0.2.2"), "é|é|é"):
        assert read_hop(SECRET, SID, forged, 1_000_000) is None
