"""The hostile, each in its own way. One call is one visit: come, do harm, go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

from loadtests.clients import frames
from state.commands import COMMAND_TYPES
from tests.integration.nodes import token

VISIT_SECONDS = 5.0
PACKETS_PER_VISIT = 60
WRONG: Final[list[Any]] = [
    None,
    True,
    -1,
    0,
    2**70,
    1.5,
    "",
    "x" * 5000,
    "\x00",
    [],
    [[]],
    {},
    {"a": {"b": {}}},
    "lounge",
    "ann",
    "e:1",
    ["ann"] * 50,
]
RESERVED: Final = ["connect", "disconnect", "connect_error", "newListener", "removeListener"]
SCRAPS: Final = [
    "",
    "0",
    "1",
    "2",
    "2probe",
    "3",
    "3probe",
    "4",
    "5",
    "6",
    "7",
    "40",
    "40{",
    '40{"token":1}',
    "40/other,",
    "41",
    "42",
    "42[]",
    '42["connect"]',
    '42["room:join",{}]',
    '42["chat:send",{"text":"\\ud83d"}]',
    "43",
    "431[]",
    "44",
    '451-["a",{"_placeholder":true,"num":0}]',
    '4510-["a"]',
    "4599999999999-[]",
    "4" + "[" * 3000,
    '42["x",' + '{"a":' * 200,
    "b",
    "bAAAA",
    "b!",
    "\x1e",
    "\x1e\x1e4",
    "é" * 100,
]
HEADS: Final = [
    "GET / HTTP/1.1",
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1",
    "POST /socket.io/?EIO=4&transport=polling&sid=x.y HTTP/1.1",
    "GET /socket.io/?EIO=3&transport=websocket HTTP/1.0",
    "BREW /socket.io/ HTTP/1.1",
    "GET  /socket.io/ HTTP/9.9",
    "PRI * HTTP/2.0",
]
LINES: Final = [
    "Host: x",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Key: short",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Version: 99",
    "Content-Length: 10",
    "Content-Length: -1",
    "Content-Length: 99999999999",
    "Transfer-Encoding: chunked",
    "Origin: http://elsewhere.invalid",
    "X-Forwarded-For: 10.0.0.1, ,,",
    "X-Flylive-Hop: 1|2|3",
    ": nothing",
    "Cookie: " + "a=b; " * 500,
    "\x01\x02: \x03",
]
PATHS: Final = [
    "/",
    "/metrics",
    "/healthz",
    "/v1/tap",
    "/v1/rooms",
    "/v1/rooms/lounge",
    "/v1/rooms/lounge/commands",
    "/v1/rooms/%00/commands",
    "/v1/gifts",
    "/v1/tokens",
    "/v1/wallets/ann",
    "/socket.io/",
    "/socket.io/?EIO=4&transport=polling&sid=%F0%9F",
    "/docs/../../etc/passwd",
    "/" + "a" * 9000,
]
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"]
# What a hostile client meets in the ordinary course of being refused.
THROWN_OUT: Final = (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError, ValueError)


class Field(Struct, frozen=True):
    """Where the hostile are at work, and what they have met."""

    url: str
    counts: Counter[str]


# by whom: where, with which dice, under which name
Visit = Callable[[Field, random.Random, str], Awaitable[None]]


class Mischief:
    """Draws packets near the contract: right names with wrong fields, wrong names, wrong shapes."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def fields(self, name: str) -> Any:
        dice = self.dice
        kind = COMMAND_TYPES.get(name)
        known = [field for field in kind.__struct_fields__ if field != "cid"] if kind else ["index"]
        chosen = {field: dice.choice(WRONG) for field in known if dice.random() < 0.8}
        if dice.random() < 0.1:
            chosen["extra"] = 1
        return dice.choice(WRONG) if dice.random() < 0.1 else chosen

    def packet(self, number: int) -> str:
        dice = self.dice
        if dice.random() < 0.002:
            return f'42["{dice.choice(RESERVED)}",{{}}]'
        names = [name for name in COMMAND_TYPES if name not in ("room:close", "room:leave")]
        name = dice.choice([*names, *names, "no:such", "internal:mark_away", "x" * 300])
        arguments: list[Any] = [name, self.fields(name)]
        if dice.random() < 0.05:
            arguments.append(dice.choice(WRONG))
        ack = "" if dice.random() < 0.2 else str(number % 1000)
        return f"42{ack}{json.dumps(arguments)}"


def scrap(dice: random.Random) -> str:
    """A few characters of Engine.IO or Socket.IO, more or less."""
    text = dice.choice(SCRAPS)
    if dice.random() < 0.3 and text:
        at = dice.randrange(len(text))
        text = text[:at] + chr(dice.choice((0, 34, 44, 91, 123, 233, 0xFFFD))) + text[at + 1 :]
    return text


def broken_frame(dice: random.Random) -> bytes:
    """A WebSocket frame that is right, or wrong in one way."""
    payload = scrap(dice).encode() if dice.random() < 0.6 else dice.randbytes(dice.randrange(0, 300))
    whole = bytearray(frames.frame(dice.choice((1, 1, 1, 2, 0, 8, 9, 10, 3, 11)), payload, dice.randbytes(4)))
    fault = dice.random()
    if fault < 0.1:
        whole[0] ^= dice.choice((0x80, 0x40, 0x20, 0x10))
    elif fault < 0.2:
        whole[1] ^= dice.choice((0x80, 0x01, 0x7F))
    elif fault < 0.25:
        whole[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
    elif fault < 0.3:
        del whole[dice.randrange(len(whole)) :]
    return bytes(whole)


def head(dice: random.Random) -> bytes:
    """The head of a request, drawn from right and wrong lines."""
    lines = [dice.choice(HEADS), *dice.sample(LINES, dice.randrange(len(LINES)))]
    text = "\r\n".join(lines) + dice.choice(("\r\n\r\n", "\r\n\r\n", "\r\n", "\n\n", ""))
    return text.encode("latin-1")


class Wire:
    """A plain TCP connection; what comes back is read and thrown away."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def put(self, data: bytes) -> None:
        if self._writer.transport.is_closing():
            raise ConnectionError("thrown out")
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()


@contextlib.asynccontextmanager
async def _wire(field: Field) -> AsyncIterator[Wire]:
    parts = urlsplit(field.url)
    async with asyncio.timeout(VISIT_SECONDS):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        reading = asyncio.create_task(_swallow(reader))
        try:
            yield Wire(writer)
        finally:
            reading.cancel()
            writer.transport.abort()


async def _swallow(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass


async def scribbler(field: Field, dice: random.Random, _name: str) -> None:
    """Bytes without meaning, and heads of requests that are nearly right."""
    with contextlib.suppress(*THROWN_OUT):
        async with _wire(field) as wire:
            for _ in range(dice.randrange(1, 6)):
                wire.put(dice.randbytes(dice.randrange(1, 2000)) if dice.random() < 0.4 else head(dice))
                field.counts["writes"] += 1
                await wire.drain()
                await asyncio.sleep(dice.random() * 0.02)


async def framer(field: Field, dice: random.Random, name: str) -> None:
    """A good upgrade, mostly a good CONNECT, then frames that are broken in every way."""
    with contextlib.suppress(*THROWN_OUT):
        async with _wire(field) as wire:
            path = "/socket.io/?EIO=4&transport=websocket"
            wire.put(frames.upgrade_request("x", path, dice.randbytes(16)))
            if dice.random() < 0.8:
                hello = "40" + json.dumps({"token": token(name)})
                wire.put(frames.frame(frames.TEXT, hello.encode(), b"mask"))
            if dice.random() < 0.5:
                wire.put(frames.frame(frames.TEXT, b'421["room:join",{}]', b"mask"))
            for _ in range(dice.randrange(PACKETS_PER_VISIT)):
                wire.put(broken_frame(dice))
                field.counts["frames"] += 1
                if dice.random() < 0.3:
                    await wire.drain()
                    await asyncio.sleep(0.002)


async def liar(field: Field, dice: random.Random, name: str) -> None:
    """A member of the room whose packets are well formed and wrong."""
    mischief, url = Mischief(dice), f"{field.url}/socket.io/?EIO=4&transport=websocket"
    with contextlib.suppress(*THROWN_OUT):
        async with (
            asyncio.timeout(VISIT_SECONDS),
            aiohttp.ClientSession() as http,
            http.ws_connect(url) as socket,
        ):
            await socket.receive()
            await socket.send_str("40" + json.dumps({"token": token(name, role="admin")}))
            if dice.random() < 0.8:
                await socket.send_str('421["room:join",{}]')
            reading = asyncio.create_task(_drain(socket))
            try:
                for number in range(PACKETS_PER_VISIT):
                    await socket.send_str(mischief.packet(number))
                    field.counts["packets"] += 1
                    if number % 20 == 19:
                        await asyncio.sleep(0.01)
            finally:
                reading.cancel()
                field.counts["thrown out"] += socket.closed


async def _drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def poller(field: Field, dice: random.Random, name: str) -> None:
    """Long polling in every wrong order."""
    with contextlib.suppress(*THROWN_OUT):
        async with asyncio.timeout(VISIT_SECONDS), aiohttp.ClientSession() as http:
            base = f"{field.url}/socket.io/?EIO=4&transport=polling"
            async with http.get(base) as answer:
                sid = json.loads((await answer.text())[1:])["sid"]
            url = f"{base}&sid={sid}"
            if dice.random() < 0.7:
                await _ask(field, http, "POST", url, "40" + json.dumps({"token": token(name)}))
            async with asyncio.TaskGroup() as group:
                for _ in range(dice.randrange(1, 10)):
                    group.create_task(_step(field, http, url, dice.randrange(7), scrap(dice)))
                    await asyncio.sleep(dice.random() * 0.02)


async def _step(field: Field, http: aiohttp.ClientSession, url: str, choice: int, text: str) -> None:
    with contextlib.suppress(*THROWN_OUT):
        if choice < 3:
            await _ask(field, http, "POST", url, "\x1e".join([text] * (choice + 1)))
        elif choice == 3:
            await _ask(field, http, "GET", url)
        elif choice == 4:
            async with asyncio.timeout(0.05):
                await _ask(field, http, "GET", url)
        elif choice == 5:
            await _ask(field, http, "DELETE", url + "x")
        else:
            async with http.ws_connect(url.replace("=polling", "=websocket")) as socket:
                await socket.send_str("2probe" if len(text) % 2 else text)
                await socket.send_str("5" if len(text) % 3 else text)


async def trespasser(field: Field, dice: random.Random, name: str) -> None:
    """Requests to every door of the house, with the wrong key or none."""
    with contextlib.suppress(*THROWN_OUT):
        async with asyncio.timeout(VISIT_SECONDS), aiohttp.ClientSession() as http:
            for _ in range(5):
                keys = ["", "Bearer", "Bearer x", "Basic eDp5", f"Bearer {token(name)}"]
                body = json.dumps(dice.choice(WRONG)) if dice.random() < 0.7 else scrap(dice)
                await _ask(
                    field,
                    http,
                    dice.choice(METHODS),
                    field.url + dice.choice(PATHS),
                    body,
                    {"Authorization": dice.choice(keys), "Content-Type": "application/json"},
                )


async def _ask(
    field: Field,
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> None:
    data = None if body is None else body.encode("utf-8", "replace")
    async with http.request(method, url, data=data, headers=headers, allow_redirects=False) as answer:
        field.counts[f"status {answer.status}"] += 1
        await answer.read()


HOSTILE: Final[tuple[Visit, ...]] = (
    scribbler,
    framer,
    liar,
    poller,
    trespasser,
)
