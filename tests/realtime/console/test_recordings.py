"""Recordings of the console: a room's traffic without names, for as long as the page asks for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from loadtests.traces.format import Command, read
from realtime.console import recordings
from tests.integration.clients import real_clients
from tests.processes import NodeProcess, descendants, processes_with, run_flylive, running_node

KEY = "development-service-key"
NOWHERE = "http://127.0.0.1:9"


@asynccontextmanager
async def asked(node: NodeProcess, opening: dict[str, str]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{node.url}/v1/console/recording", max_msg_size=0) as socket,
    ):
        await socket.send_str(json.dumps(opening))
        yield socket


def token_for(room_id: str) -> str:
    return run_flylive("token", "create", "--room", room_id, "--user", "ada", "--name", "Ada").stdout.strip()


def recorders(node: NodeProcess) -> int:
    mine = descendants(node.process.pid)
    return sum(process_id in mine for process_id in processes_with("realtime.cli record -"))


@asynccontextmanager
async def route_of(url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The route alone, in this process; it knows one key."""
    application = web.Application()
    application.add_routes([recordings.recording_route(url, lambda bearer: bearer == KEY)])
    async with (
        TestClient(TestServer(application)) as client,
        client.ws_connect("/v1/console/recording", max_msg_size=0) as socket,
    ):
        yield socket


async def whole(url: str) -> bytes:
    """A recording that ends by itself, because it is as large as one may be."""
    async with route_of(url) as socket:
        await socket.send_str(json.dumps({"bearer": KEY, "room_id": "lobby"}))
        recorded = b"".join([message.data async for message in socket])
        assert socket.close_code == aiohttp.WSCloseCode.OK
    return recorded


async def test_a_recording_is_handed_over_whole_and_without_names(
    data_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_node(data_directory) as node:
        token = await asyncio.to_thread(token_for, "lobby")
        async with asked(node, {"bearer": KEY, "room_id": "lobby"}) as socket, real_clients() as clients:
            recorded = await socket.receive_bytes(timeout=60)
            ada = await clients.open("ada", node.url, token)
            await ada.join()
            await ada.command("chat:send", text="canary text")
            while b"chat:send" not in recorded:
                recorded += await socket.receive_bytes(timeout=60)
            await socket.send_str("enough")
            async for message in socket:
                recorded += message.data
            assert socket.close_code == aiohttp.WSCloseCode.OK
        async with asked(node, {"bearer": KEY, "room_id": "lobby"}) as socket:
            await socket.receive_bytes(timeout=60)
            assert recorders(node) == 1
        # The page is gone.
        async with asyncio.timeout(60):
            while recorders(node):
                await asyncio.sleep(0.05)
        monkeypatch.setattr(recordings, "BYTES_MAX", 1)
        assert b'"k":"end"' in await whole(node.url)
    file = tmp_path / "trace.jsonl"
    file.write_bytes(recorded)
    trace = read(file)
    assert trace.intact
    assert "chat:send" in [line.e for line in trace.lines if isinstance(line, Command)]
    assert b"canary" not in recorded
    assert b'"ada"' not in recorded
    assert list(trace.end.rooms) == ["r1"]


@pytest.mark.parametrize(
    ("opening", "code"),
    [
        ({"bearer": "guessed", "room_id": "lobby"}, recordings.NOT_ALLOWED),
        ({"bearer": KEY, "room_id": "no room"}, aiohttp.WSCloseCode.POLICY_VIOLATION),
        ({"bearer": KEY}, aiohttp.WSCloseCode.POLICY_VIOLATION),
        ("{", aiohttp.WSCloseCode.POLICY_VIOLATION),
    ],
)
async def test_who_may_not_or_asks_for_nothing_is_told_so(opening: object, code: int) -> None:
    async with route_of(NOWHERE) as socket:
        await socket.send_str(opening if isinstance(opening, str) else json.dumps(opening))
        assert (await socket.receive(timeout=60)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == code


async def test_a_recorder_that_fails_says_why() -> None:
    async with route_of(NOWHERE) as socket:
        await socket.send_str(json.dumps({"bearer": KEY, "room_id": "lobby"}))
        told = await socket.receive(timeout=60)
        assert socket.close_code == recordings.FAILED
        assert "127.0.0.1" in str(told.extra)
