"""What sees a connection first: the sniffing front before aiohttp.

A well-formed WebSocket upgrade of an Engine.IO path is answered here, without aiohttp's request machinery:
that halves what a connect costs. Every other connection, and every doubtful upgrade, is given to aiohttp
unchanged, so that aiohttp alone decides about errors and plain HTTP. The front also waits for the head of a
connection's first request no longer than `head_seconds`, which aiohttp itself does not bound, and keeps no
more unfinished heads of one address than that address may have connections.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from aiohttp import web

from realtime.engine.limits import Limits
from realtime.engine.requests import Refused, make_environ, parse_query
from realtime.engine.server import Engine
from realtime.engine.wheel import Wheel

HEAD_LINES = 64
BACKLOG = 4096  # a storm of reconnects arrives within one turn of the loop


class Front:
    """What all connections of one listening socket share."""

    def __init__(self, engines: Sequence[Engine], make_http: Callable[[], asyncio.Protocol]) -> None:
        self.make_http = make_http
        self.engines = {engine.path: engine for engine in engines}
        self.limits: Limits = engines[0].limits
        self.wheel: Wheel = engines[0].wheel
        self.waiting: dict[str, int] = {}  # connections by address whose first head is incomplete

    def enter(self, address: str) -> bool:
        count = self.waiting.get(address, 0)
        if 0 < self.limits.connections_per_address <= count:
            return False
        self.waiting[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        count = self.waiting[address] - 1
        if count:
            self.waiting[address] = count
        else:
            del self.waiting[address]


class Doorway(asyncio.Protocol):
    """One connection until its first head is complete."""

    __slots__ = ("_address", "_data", "_entered", "_front", "_transport", "slot")

    def __init__(self, front: Front) -> None:
        self._front = front
        self._data = b""
        self._address = ""
        self._entered = False
        self._transport: asyncio.Transport | None = None
        self.slot = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        self._entered = self._front.enter(self._address)
        if not self._entered:
            self._transport.abort()
            return
        self._front.wheel.add(self, self._front.wheel.now() + self._front.limits.head_seconds)

    def tick(self, _now: float) -> float | None:
        if self._transport is not None:
            self._transport.abort()
        return None

    def connection_lost(self, _error: Exception | None) -> None:
        self._done()

    def _done(self) -> None:
        """The connection is no longer ours."""
        self._transport = None
        if self._entered:
            self._entered = False
            self._front.leave(self._address)
            self._front.wheel.discard(self)

    def data_received(self, data: bytes) -> None:
        data = self._data = self._data + data if self._data else data
        end = data.find(b"\r\n\r\n")
        limit = self._front.limits.head_bytes
        if end < 0 and len(data) <= limit:
            return
        if not 0 <= end <= limit or not data.startswith(b"GET ") or not self._upgrade(data, end):
            self._to_http()

    def _upgrade(self, data: bytes, end: int) -> bool:
        transport = self._transport
        parsed = parse_head(data[:end])
        if parsed is None or transport is None:
            return False
        target, headers = parsed
        engine = self._front.engines.get(target.partition("?")[0])
        if engine is None:
            return False
        scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        environ = make_environ("GET", target, headers, self._address, scheme)
        if not engine.origin_allowed(environ):
            return False
        key, version = headers.get("sec-websocket-key"), headers.get("sec-websocket-version")
        try:
            engine.accept_socket(parse_query(target), key, version, environ, transport, data[end + 4 :])
        except Refused:
            return False
        self._done()
        return True

    def _to_http(self) -> None:
        transport, data = self._transport, self._data
        self._done()
        if transport is None:
            return
        http = self._front.make_http()
        transport.set_protocol(http)
        http.connection_made(transport)
        http.data_received(data)


def parse_head(head: bytes) -> tuple[str, Mapping[str, str]] | None:
    """Target and headers of a plain WebSocket upgrade, or None if anything about it is unusual."""
    try:
        lines = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.partition(" ")
    if method != "GET" or version != "HTTP/1.1" or target[:1] != "/" or len(lines) > HEAD_LINES:
        return None
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name.replace("-", "").isalnum() or name in headers or not value.isprintable():
            return None
        headers[name] = value.strip()
    upgrades = headers.get("upgrade", "").lower() == "websocket"
    if not upgrades or "host" not in headers or "upgrade" not in headers.get("connection", "").lower():
        return None
    if "content-length" in headers or "transfer-encoding" in headers:
        return None
    return target, headers


class FrontSite(web.BaseSite):
    """Takes the place of `web.SockSite`: the same runner, with the front before it."""

    __slots__ = ("_engines", "_name", "_sock")

    def __init__(
        self,
        runner: web.BaseRunner,
        sock: socket.socket,
        engines: Sequence[Engine],
        *,
        ssl_context: ssl.SSLContext | None = None,
        backlog: int = BACKLOG,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context, backlog=backlog)
        self._sock, self._engines = sock, engines
        host, port = sock.getsockname()[:2]
        self._name = f"{'http' if ssl_context is None else 'https'}://{host}:{port}"

    @property
    def name(self) -> str:
        return self._name

    async def start(self) -> None:
        await super().start()
        server = self._runner.server
        assert server is not None
        front = Front(self._engines, cast("Callable[[], asyncio.Protocol]", server))
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Doorway(front), sock=self._sock, ssl=self._ssl_context, backlog=self._backlog
        )
