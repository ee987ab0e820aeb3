"""The front and aiohttp behind it, over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from realtime.engine.front import FrontSite, parse_head, refusals
from realtime.engine.limits import Limits
from realtime.engine.server import Engine
from tests.realtime.wire import KEY, client_frame, server_frames

WAIT_SECONDS = 20.0
HEAD = (
    "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
)


@contextlib.asynccontextmanager
async def served(origins: object = "*", gate: Any = None, **limits: Any) -> AsyncIterator[tuple[Engine, int]]:
    quiet = {"connect_timeout_seconds": 0.0, "connections_per_address": 0}
    engine = Engine(limits=Limits(**{**quiet, **limits}), cors_allowed_origins=origins)

    engine.gate = gate

    async def echo(sid: str, data: str) -> None:
        await engine.send(sid, data)

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=await request.text() or "hello")

    engine.on("message", echo)
    app = web.Application()
    app.router.add_route("*", "/hello", hello)
    engine.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0))
    await FrontSite(runner, sock, [engine]).start()
    try:
        yield engine, sock.getsockname()[1]
    finally:
        await engine.shutdown()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def dialled(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(reader.readuntil(b"\r\n"), WAIT_SECONDS)).decode().strip()


async def ends(reader: asyncio.StreamReader) -> None:
    """The server closes, with or without a reset."""
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), WAIT_SECONDS) == b""


@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_upgrade_in_pieces(step: int) -> None:
    """The head byte by byte, with a frame right behind it."""
    async with served() as (_, port), dialled(port) as (reader, writer):
        data = (HEAD + "\r\n").encode() + client_frame(1, b"4hi")
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            await asyncio.sleep(0)
        assert await answer(reader) == "HTTP/1.1 101 Switching Protocols"
        await reader.readuntil(b"\r\n\r\n")
        received = b""
        while b"4hi" not in received:
            received += await asyncio.wait_for(reader.read(1000), WAIT_SECONDS)
        assert [payload[:1] for _, payload in server_frames(received)] == [b"0", b"4"]


async def test_plain_http_is_given_to_aiohttp() -> None:
    async with served() as (_, port), dialled(port) as (reader, writer):
        for body in (b"", b"body"):
            writer.write(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert await answer(reader) == "HTTP/1.1 200 OK"
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"text/plain" in head
            assert await reader.readexactly(len(body) or 5) == body or b"hello"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD.replace("EIO=4", "EIO=3"), "400"),
        (HEAD.replace("EIO=4&", "EIO=4&sid=unknown&"), "400"),
        (HEAD.replace(KEY, "c2hvcnQ="), "400"),
        (HEAD.replace("13", "12"), "400"),
        (HEAD.replace("/engine.io/", "/nowhere"), "404"),
        (HEAD.replace("HTTP/1.1", "HTTP/9"), "400"),
        (HEAD.replace("Host: x\r\n", ""), "400"),
        (HEAD + "Bad\x01Name: x\r\n", "400"),
        (HEAD + "X: " + "a" * 9000 + "\r\n", "400"),
        ("\x16\x03\x01\x02\x00\r\n", "400"),
    ],
)
async def test_doubtful_upgrades_are_refused_by_aiohttp(head: str, status: str) -> None:
    async with served() as (engine, port), dialled(port) as (reader, writer):
        writer.write((head + "\r\n").encode("latin-1"))
        assert (await answer(reader)).split()[1] == status
        assert not engine.sockets


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
async def test_foreign_origins_are_refused(origin: str) -> None:
    async with served(["https://app.example"]) as (_, port):
        for header, status in (
            (f"Origin: {origin}\r\n", "400"),
            ("Origin: https://app.example\r\n", "101"),
            ("", "101"),
        ):
            async with dialled(port) as (reader, writer):
                writer.write((HEAD + header + "\r\n").encode())
                assert (await answer(reader)).split()[1] == status


@pytest.mark.parametrize("start", ["", "GET /engine.io/?EIO=4", HEAD, "POST /hello HTTP/1.1\r\nHost: x\r\n"])
async def test_slow_heads_are_cut(start: str) -> None:
    async with (
        served(head_seconds=0.1, ping_interval_seconds=0.2) as (_, port),
        dialled(port) as (reader, writer),
    ):
        writer.write(start.encode())
        await ends(reader)


@pytest.mark.parametrize(
    "request_line", ["", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["heads", "idle"]
)
async def test_plain_connections_of_one_address_are_bounded(request_line: str) -> None:
    """Unfinished heads and idle HTTP alike; a WebSocket is counted by itself, one way or the other."""
    async with served(plain_connections_per_address=3) as (_, port), contextlib.AsyncExitStack() as stack:
        for head in (HEAD, HEAD.replace("Upgrade: websocket", "Upgrade:  websocket\r\nX-A: 1\r\nX-a: 1")):
            reader, writer = await stack.enter_async_context(dialled(port))
            writer.write((head + "\r\n").encode())
            assert (await answer(reader)).split()[1] == "101"
        waiting = [await stack.enter_async_context(dialled(port)) for _ in range(3)]
        for reader, writer in waiting:
            writer.write(request_line.encode())
            if request_line:
                assert await answer(reader) == "HTTP/1.1 200 OK"
        await asyncio.sleep(0.05)
        async with dialled(port) as (reader, _writer):
            await ends(reader)
        waiting[0][1].close()
        await asyncio.sleep(0.05)
        async with dialled(port) as (reader, writer):
            writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await answer(reader) == "HTTP/1.1 200 OK"


async def test_exempt_addresses_hold_as_many_as_they_want() -> None:
    class Gate:
        def open(self, address: str) -> bool:
            return True

        def close(self, address: str) -> None:
            pass

        def is_exempt(self, address: str) -> bool:
            return address == "127.0.0.1"

    async with (
        served(gate=Gate(), plain_connections_per_address=1) as (_, port),
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(5):
            reader, writer = await stack.enter_async_context(dialled(port))
            writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await answer(reader) == "HTTP/1.1 200 OK"


async def test_too_many_connections_of_one_address() -> None:
    async with served(connections_per_address=2) as (_, port), contextlib.AsyncExitStack() as stack:
        statuses = []
        for _ in range(3):
            reader, writer = await stack.enter_async_context(dialled(port))
            writer.write((HEAD + "\r\n").encode())
            statuses.append((await answer(reader)).split()[1])
        assert statuses == ["101", "101", "429"]


def test_parse_head() -> None:
    parsed = parse_head(HEAD.rstrip().encode())
    assert parsed is not None
    assert parsed[0] == "/engine.io/?EIO=4&transport=websocket"
    assert parsed[1]["sec-websocket-key"] == KEY
    for bad in (
        "X: 1\r\nX: 2",
        " folded",
        "Content-Length: 1",
        "Transfer-Encoding: chunked",
        "N\xe4me: x",
        "no colon",
    ):
        assert parse_head((HEAD + bad).encode("latin-1")) is None


async def test_garbage_writes_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Everything that is no HTTP is answered or cut, and counted."""
    before = refusals.count
    async with served() as (_, port):
        for garbage in (
            b"GET /\xff HTTP/1.1\r\n\r\n",
            b"\x00\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        ):
            async with dialled(port) as (reader, writer):
                writer.write(garbage)
                assert (await answer(reader)).split()[1] == "400"
    assert refusals.count > before
    assert caplog.records == []


def test_proxies_stand_for_many() -> None:
    engine = Engine(trusted_proxies=["10.0.0.0/8"])
    assert engine.stands_for_many("10.1.2.3")
    assert not engine.stands_for_many("192.0.2.1")
    assert engine.stands_for_many("")
