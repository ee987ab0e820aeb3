"""What sees a connection first: the sniffing front before aiohttp.

A well-formed WebSocket upgrade of an Engine.IO path is answered here, without aiohttp's request machinery:
that halves what a connect costs. Every other connection, and every doubtful upgrade, is given to aiohttp
unchanged, so that aiohttp alone decides about errors and plain HTTP. The front also waits for the head of a
connection's first request no longer than `head_seconds`, which aiohttp itself does not bound, and keeps no
more unfinished heads of one address than that address may have connections.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

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
        self._engine = engines[0]
        self._held: dict[str, int] = {}  # connections by address that are not, or not yet, WebSockets

    def enter(self, address: str) -> bool:
        limit = self.limits.plain_connections_per_address
        count = self._held.get(address, 0)
        if 0 < limit <= count and not self._engine.stands_for_many(address):
            return False
        self._held[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        count = self._held[address] - 1
        if count:
            self._held[address] = count
        else:
            del self._held[address]


class Doorway(asyncio.Protocol):
    """One connection: until its first head is complete, and before aiohttp's protocol after that."""

    __slots__ = ("_address", "_data", "_entered", "_front", "_http", "_transport", "slot")

    def __init__(self, front: Front) -> None:
        self._front = front
        self._data = b""
        self._address = ""
        self._entered = False
        self._transport: asyncio.Transport | None = None
        self._http: asyncio.Protocol | None = None
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

    def connection_lost(self, error: Exception | None) -> None:
        http = self._http
        self.released()
        if http is not None:
            http.connection_lost(error)

    def released(self) -> None:
        """The connection has ended, or belongs to a WebSocket now."""
        self._transport = self._http = None
        self._front.wheel.discard(self)
        if self._entered:
            self._entered = False
            self._front.leave(self._address)

    def pause_writing(self) -> None:
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        if self._http is not None:
            self._http.resume_writing()

    def eof_received(self) -> bool | None:
        return self._http.eof_received() if self._http is not None else None

    def data_received(self, data: bytes) -> None:
        if self._http is not None:
            self._http.data_received(data)
            return
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
        self.released()
        return True

    def _to_http(self) -> None:
        transport, data, self._data = self._transport, self._data, b""
        if transport is None:
            return
        self._front.wheel.discard(self)
        self._http = self._front.make_http()
        self._http.connection_made(transport)
        self._http.data_received(data)


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


class Refusals(logging.Filter):
    """aiohttp logs a traceback for everything it is sent that is no HTTP. It has answered 400, the fault is
    the sender's, and whoever wants to fill our disk would send nothing else: so it is counted, not
    written."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self.count += 1
            return False
        return True


refusals = Refusals()


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
        server_logger.addFilter(refusals)
        server = self._runner.server
        assert server is not None
        front = Front(self._engines, cast("Callable[[], asyncio.Protocol]", server))
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Doorway(front),
            sock=self._sock,
            ssl=self._ssl_context,
            ssl_handshake_timeout=front.limits.head_seconds if self._ssl_context is not None else None,
            backlog=self._backlog,
        )
