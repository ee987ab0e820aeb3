"""What a case is, and the client it speaks through."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

# Slower than the official suites have it (see `official`): these cases run beside others on a busy machine,
# and a pong that we send late must not look like a fault of the server.
PING_INTERVAL_SECONDS = 0.6
PING_TIMEOUT_SECONDS = 1.0
WAIT_SECONDS = 6.0  # how long a case waits for what has to come
CASE_SECONDS = 20.0
ENDED = (
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.ERROR,
)


class WebSocketSide:
    """One WebSocket: messages as they come, pings included, as the official suites see them."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, data: str | bytes) -> None:
        if isinstance(data, str):
            await self._socket.send_str(data)
        else:
            await self._socket.send_bytes(data)

    async def receive(self) -> str | bytes:
        message = await asyncio.wait_for(self._socket.receive(), WAIT_SECONDS)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), f"closed: {message}"
        data: str | bytes = message.data
        return data

    async def receive_packets(self, count: int) -> list[str | bytes]:
        """The next packets that are no pings."""
        found: list[str | bytes] = []
        while len(found) < count:
            data = await self.receive()
            if data != "2":
                found.append(data)
        return found

    async def closed(self) -> None:
        """Waits for the server to close, whatever it sends before that."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (await self._socket.receive()).type not in ENDED:
                pass

    async def close(self) -> None:
        await self._socket.close()


class Side:
    """A client of one path of the server."""

    def __init__(self, http: aiohttp.ClientSession, url: str, path: str) -> None:
        self._http, self._base = http, f"{url}{path}"

    async def request(self, method: str, query: str, body: str | None = None) -> tuple[int, str]:
        async with self._http.request(method, f"{self._base}?{query}", data=body) as response:
            return response.status, await response.text()

    async def get(self, query: str) -> tuple[int, str]:
        return await self.request("GET", query)

    async def poll(self, sid: str) -> tuple[int, str]:
        return await self.get(f"EIO=4&transport=polling&sid={sid}")

    async def push(self, sid: str, body: str) -> tuple[int, str]:
        return await self.request("POST", f"EIO=4&transport=polling&sid={sid}", body)

    async def open_polling(self) -> str:
        status, text = await self.get("EIO=4&transport=polling")
        assert status == 200, text
        return str(json.loads(text[1:])["sid"])

    async def refuses_websocket(self, query: str) -> None:
        try:
            await self._http.ws_connect(f"{self._base}?{query}")
        except aiohttp.WSServerHandshakeError:
            return
        raise AssertionError("the upgrade was accepted")

    @asynccontextmanager
    async def websocket(self, query: str = "EIO=4&transport=websocket") -> AsyncIterator[WebSocketSide]:
        socket = await self._http.ws_connect(f"{self._base}?{query}", max_msg_size=0)
        try:
            yield WebSocketSide(socket)
        finally:
            await socket.close()

    @asynccontextmanager
    async def engine_socket(self) -> AsyncIterator[WebSocketSide]:
        """A WebSocket that has received its handshake."""
        async with self.websocket() as socket:
            check_handshake(await socket.receive(), [])
            yield socket

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[WebSocketSide]:
        """A Socket.IO connection to the main namespace, greeted."""
        async with self.engine_socket() as socket:
            await socket.send("40")
            await socket.receive()
            await socket.receive()
            yield socket


def check_handshake(packet: str | bytes, upgrades: list[str]) -> dict[str, Any]:
    assert isinstance(packet, str)
    assert packet[0] == "0"
    fields: dict[str, Any] = json.loads(packet[1:])
    assert set(fields) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert isinstance(fields["sid"], str)
    assert fields["upgrades"] == upgrades
    assert fields["pingInterval"] == PING_INTERVAL_SECONDS * 1000
    assert fields["pingTimeout"] == PING_TIMEOUT_SECONDS * 1000
    assert fields["maxPayload"] == 1_000_000
    return fields


@dataclass(frozen=True)
class Case:
    name: str
    run: Callable[[Side], Awaitable[None]]


class Cases(list[Case]):
    def __call__(self, name: str) -> Callable[[Callable[[Side], Awaitable[None]]], None]:
        def add(run: Callable[[Side], Awaitable[None]]) -> None:
            self.append(Case(name, run))

        return add


async def run_case(case: Case, url: str, path: str) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(CASE_SECONDS):
        await case.run(Side(http, url, path))
