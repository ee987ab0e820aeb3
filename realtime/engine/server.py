"""Engine.IO v4 under python-socketio's `AsyncServer`, without tasks, queues or timers per client.

`Engine` keeps the public face of `engineio.AsyncServer` (options, `on`, `send`, `disconnect`, sessions, CORS
rules) and replaces how sessions work. It knows sessions and packets, nothing of Socket.IO: whole messages go
to its `consumer`, in the order of their arrival and from within the transport's callback.

The upgrade takes the socket away from aiohttp: the link becomes the transport's protocol, aiohttp's own
protocol is told that the connection is lost, so that its tasks end and the request is freed, and the
response that the handler returns writes nothing.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from aiohttp import web

from realtime.engine import framing
from realtime.engine.corks import Corks
from realtime.engine.handlers import Handlers
from realtime.engine.limits import Limits
from realtime.engine.link import Link, accept_response, valid_key
from realtime.engine.parser import POLICY, RESTART
from realtime.engine.polling import answer_poll, take_post
from realtime.engine.reasons import BadPacket, Reason
from realtime.engine.requests import (
    Refused,
    client_address,
    is_within,
    make_environ,
    networks,
    parse_query,
)
from realtime.engine.session import CLOSED, OPEN, POLLING, PROBING, Consumer, Session
from realtime.engine.wheel import Wheel
from realtime.stock import engineio

PROBE_ANSWER = framing.frame(framing.TEXT, b"3probe")
PROTOCOL_VERSION = "4"

Stray = Callable[[web.Request, str], Awaitable[web.StreamResponse | None]]


class Gate(Protocol):
    """Decides whether a remote address may open one more session."""

    def open(self, address: str) -> bool: ...
    def close(self, address: str) -> None: ...
    def is_exempt(self, address: str) -> bool: ...


class Engine(engineio.AsyncServer):  # type: ignore[misc]  # engineio has no types
    sockets: dict[str, Session]

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        new_sid: Callable[[], str] | None = None,
        stray: Stray | None = None,
        trusted_proxies: Iterable[str] = (),
        **options: Any,
    ) -> None:
        self.limits = limits or Limits()
        options.update(
            async_mode="aiohttp",
            monitor_clients=False,
            http_compression=False,
            ping_interval=self.limits.ping_interval_seconds,
            ping_timeout=self.limits.ping_timeout_seconds,
            max_http_buffer_size=self.limits.message_bytes,
        )
        super().__init__(**options)
        self.consumer: Consumer = Handlers(self)
        self.path = "/engine.io/"
        self.stray = stray  # answers polls whose session lives on another node
        self.new_sid: Callable[[], str] = new_sid or self.generate_id
        self._trusted = networks(trusted_proxies)
        self.addresses: dict[str, int] = {}
        self.gate: Gate | None = None
        self.leaving = False  # no new sessions: clients are to try elsewhere
        self.counters: Counter[str] = Counter()  # closed sessions by reason, refused requests by text
        self.wheel = Wheel(self._resolution())
        self.corks = Corks()

    def _resolution(self) -> float:
        limits = self.limits
        shortest = min(limits.ping_interval_seconds, limits.ping_timeout_seconds)
        if limits.connect_timeout_seconds:
            shortest = min(shortest, limits.connect_timeout_seconds)
        return min(1.0, max(0.01, shortest / 20))

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        self.path = f"/{engineio_path.strip('/')}/"
        app.router.add_route("*", self.path, self.handle_request)

    # Sessions.

    def open_session(self, environ: dict[str, Any]) -> Session:
        address = client_address(environ["REMOTE_ADDR"], environ.get("HTTP_X_FORWARDED_FOR"), self._trusted)
        if self.leaving:
            raise Refused("Leaving", 503)
        count = self.addresses.get(address, 0)
        if 0 < self.limits.connections_per_address <= count:
            raise Refused("Too many connections", 429)
        if self.gate is not None and not self.gate.open(address):
            raise Refused("Too many connections", 429)
        self.addresses[address] = count + 1
        session = Session(self, self.new_sid(), address, environ)
        self.sockets[session.sid] = session
        self.consumer.on_open(session)
        return session

    def stands_for_many(self, address: str) -> bool:
        """A proxy of ours, the other end of a Unix socket, or what the gate has exempted."""
        return (
            not address
            or is_within(address, self._trusted)
            or (self.gate is not None and self.gate.is_exempt(address))
        )

    def forget(self, session: Session, reason: str) -> None:
        """The session has closed (called by itself)."""
        if self.sockets.pop(session.sid, None) is None:
            return
        self.counters[reason] += 1
        count = self.addresses[session.address] - 1
        if count:
            self.addresses[session.address] = count
        else:
            del self.addresses[session.address]
        if self.gate is not None:
            self.gate.close(session.address)

    def broken(self, session: Session, code: int = POLICY) -> None:
        """The peer broke the rules of WebSocket, Engine.IO or the layer above."""
        session.close(Reason.BAD_PACKET, code)

    def open_packet(self, session: Session, upgrades: list[str]) -> bytes:
        limits = self.limits
        fields = {
            "sid": session.sid,
            "upgrades": upgrades if self.allow_upgrades else [],
            "pingInterval": round(limits.ping_interval_seconds * 1000),
            "pingTimeout": round(limits.ping_timeout_seconds * 1000),
            "maxPayload": limits.message_bytes,
        }
        return b"0" + json.dumps(fields, separators=(",", ":")).encode()

    def packet(self, session: Session, text: str) -> None:
        """One text packet of an open session, from either transport."""
        kind = text[:1]
        if kind == "4":
            self.consumer.on_message(session, text[1:])
        elif text == "3":
            session.pong()
        elif text == "1":
            session.close(Reason.TRANSPORT_CLOSE)
        else:
            raise BadPacket("bad Engine.IO packet")

    # HTTP.

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        environ = make_environ(
            request.method, request.raw_path, request.headers, request.remote or "", request.scheme
        )
        try:
            if not self.origin_allowed(environ):
                raise Refused("Origin not allowed")
            if request.method == "OPTIONS":
                return self._reply(200, b"", environ)
            query = parse_query(request.raw_path)
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return self._take_socket(request, query, environ)
            return await self._polling_request(request, query, environ)
        except Refused as refused:
            self.counters[str(refused)] += 1
            return self._reply(refused.status, json.dumps({"message": str(refused)}).encode(), environ)

    def origin_allowed(self, environ: dict[str, Any]) -> bool:
        """Clients that are no browsers send no Origin; those that send one must be on the list."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or self.cors_allowed_origins == []:
            return True
        allowed = self._cors_allowed_origins(environ)
        return allowed is None or origin in allowed

    async def _polling_request(
        self, request: web.Request, query: dict[str, str], environ: dict[str, Any]
    ) -> web.StreamResponse:
        if query.get("transport") != "polling" or "polling" not in self.transports:
            raise Refused("Invalid transport")
        sid = query.get("sid")
        if sid is None:
            if request.method != "GET" or query.get("EIO") != PROTOCOL_VERSION:
                raise Refused("Bad handshake")
            session = self.open_session(environ)
            return self._reply(200, self.open_packet(session, ["websocket"]), environ)
        found = self.sockets.get(sid)
        if found is None and self.stray is not None:
            answer = await self.stray(request, sid)
            if answer is not None:
                return answer
        if found is None or found.state in (OPEN, CLOSED):
            raise Refused("Invalid session")
        if request.method == "GET":
            return self._reply(200, await answer_poll(found, request), environ)
        if request.method == "POST":
            await take_post(self, found, request)
            return self._reply(200, b"ok", environ)
        raise Refused("Bad method")

    def _reply(self, status: int, body: bytes, environ: dict[str, Any]) -> web.Response:
        headers = {"Cache-Control": "no-store"}
        headers.update(self._cors_headers(environ))
        return web.Response(
            status=status, body=body, headers=headers, content_type="text/plain", charset="UTF-8"
        )

    # WebSocket.

    def _take_socket(
        self, request: web.Request, query: dict[str, str], environ: dict[str, Any]
    ) -> web.StreamResponse:
        protocol, transport = request.protocol, request.transport
        if transport is None:
            raise Refused("Connection lost")
        key, version = request.headers.get("Sec-WebSocket-Key"), request.headers.get("Sec-WebSocket-Version")
        # bytes that came with the request wait in a private place of aiohttp's protocol
        tail = getattr(protocol, "_message_tail", b"")
        holder = transport.get_protocol()
        self.accept_socket(query, key, version, environ, transport, tail)
        released = getattr(holder, "released", None)  # the front's doorway, when there is one
        if released is not None:
            released()
        protocol.transport = None
        protocol.connection_lost(None)
        return Detached()

    def accept_socket(
        self,
        query: dict[str, str],
        key: str | None,
        version: str | None,
        environ: dict[str, Any],
        transport: asyncio.Transport,
        tail: bytes,
    ) -> None:
        """Answers an upgrade on `transport` and takes that over, or raises Refused and leaves it alone."""
        if key is None or version != "13" or not valid_key(key):
            raise Refused("Bad WebSocket handshake")
        session, link = self._bind(query, environ)
        transport.set_protocol(link)
        link.connection_made(transport)
        hello = accept_response(key)
        if session is None:  # Socket.IO clients expect a handshake here, and then the close
            transport.write(hello)
            link.close()
        elif link.probing:
            transport.write(hello)
        else:
            transport.write(hello + framing.frame(framing.TEXT, self.open_packet(session, [])))
            session.opened()
        transport.resume_reading()
        if tail:
            link.data_received(tail)

    def _bind(self, query: dict[str, str], environ: dict[str, Any]) -> tuple[Session | None, Link]:
        if query.get("transport") != "websocket" or "websocket" not in self.transports:
            raise Refused("Invalid transport")
        sid = query.get("sid")
        if sid is None:
            if query.get("EIO") != PROTOCOL_VERSION:
                raise Refused("Unsupported protocol version")
            opened = self.open_session(environ)
            opened.link = link = Link(self, opened)
            return opened, link
        session = self.sockets.get(sid)
        if session is None or session.closed:
            raise Refused("Invalid session")
        if session.link is not None or not self.allow_upgrades:
            return None, Link(self, None)
        session.link = link = Link(self, session)
        link.probing = True
        return session, link

    def received(self, link: Link, data: str | bytes) -> None:
        """A whole WebSocket message (called from the transport's callback)."""
        session = link.session
        if session is None:
            return
        try:
            if link.probing:
                self._probe(session, link, data)
            elif isinstance(data, str):
                self.packet(session, data)
            else:
                self.consumer.on_message(session, data)
        except BadPacket:
            self.broken(session)

    def _probe(self, session: Session, link: Link, data: str | bytes) -> None:
        if data == "2probe" and session.state == POLLING and link.transport is not None:
            link.transport.write(PROBE_ANSWER)
            session.state = PROBING
            if session.poll is not None and not session.poll.done():
                session.poll.set_result(None)  # ends the GET that waits with a NOOP
        elif data == "5" and session.state == PROBING:
            link.probing = False
            session.opened()
        else:
            raise BadPacket("bad upgrade")

    def link_lost(self, link: Link, error: Exception | None) -> None:
        session = link.session
        if session is None:
            return
        session.link = None
        if link.probing:  # the upgrade failed: polling goes on
            if session.state == PROBING:
                session.state = POLLING
            return
        session.close(Reason.TRANSPORT_CLOSE if error is None else Reason.TRANSPORT_ERROR)

    # What python-socketio and applications ask for.

    async def send_packet(self, sid: str, pkt: Any) -> None:
        session = self.sockets.get(sid)
        if session is not None:
            data = pkt.encode()
            opcode = framing.BINARY if isinstance(data, bytes) else framing.TEXT
            session.write(framing.frame(opcode, data if isinstance(data, bytes) else data.encode()))

    async def disconnect(self, sid: str | None = None) -> None:
        chosen = list(self.sockets.values()) if sid is None else [self.sockets.get(sid)]
        for session in chosen:
            if session is not None:
                session.close(Reason.SERVER_DISCONNECT)

    async def drain(self, reason: str, *, batch: int, pause_seconds: float) -> None:
        """Closes every transport, `batch` at a time; clients come back by themselves, elsewhere."""
        self.leaving = True
        while self.sockets:
            for session in list(self.sockets.values())[:batch]:
                session.close(reason, RESTART)
            if self.sockets:
                await asyncio.sleep(pause_seconds)

    async def shutdown(self) -> None:
        await self.drain(Reason.SERVER_SHUTDOWN, batch=1000, pause_seconds=0)

    async def get_session(self, sid: str) -> dict[str, Any]:
        session: Session = self._get_socket(sid)
        if session.session is None:
            session.session = {}
        return session.session


class Detached(web.StreamResponse):
    """Returned for a connection that no longer belongs to aiohttp: writes nothing."""

    def __init__(self) -> None:
        super().__init__(status=101)

    async def prepare(self, _request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, _data: bytes = b"") -> None:
        return None

    @property
    def body_length(self) -> int:  # for the access log
        return 0
