"""The sockets of one worker: what arrives is told apart, answered, or given to the transport it belongs to.

STUN goes to the responder, DTLS to the transport that owns the address, media never leaves the engine. The
same by TCP for networks without UDP: a connection is an address with an empty host and a number.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog

from sfu.connections import ClientTransport, Ended
from sfu.dtls import Certificate, Pacer
from sfu.engine import Address, EngineOptions
from sfu.engines import open_engine
from sfu.framing import BadFrame, Framer, frame
from sfu.ice import IceResponder, IceSession, candidates
from state.ports import Caller

log = structlog.get_logger("sfu.switchboard")
TICK_SECONDS = 0.02
CONSENT_CHECK_SECONDS = 1.0
SOCKET_BUFFER_BYTES = 8 << 20
"""A burst of a thousand listeners' packets and a second of a slow loop, on both sides."""
PORT_TRIES = 8
STREAMS = 1024
STREAM_IDLE_SECONDS = 10.0
"""A stream connection that did not authenticate for so long is closed."""
STREAM_BACKLOG_BYTES = 128 * 1024
"""What a slow stream may have in its buffer; beyond it packets are dropped, as UDP would."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker listens and what it announces."""

    host: str
    port: int = 0
    announced: tuple[str, ...] = ()
    engine: str = "auto"
    tcp: bool = True


def is_wildcard(host: str) -> bool:
    return host in ("", "0.0.0.0", "::", "*")


def primary_address() -> str:
    """The address this machine would use towards the world; no packet is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _bindable(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


def open_socket(kind: socket.SocketKind, place: Place, port: int) -> socket.socket:
    """Bound where the announced address is, if it is one and of this machine: on a machine with several,
    answers must leave from the address they were asked at. Else on everything, both families."""
    single = place.announced[0] if len(place.announced) == 1 and _bindable(place.announced[0]) else ""
    host = place.host if not is_wildcard(place.host) and _bindable(place.host) else single
    if host:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    elif socket.has_dualstack_ipv6():
        sock, host = socket.socket(socket.AF_INET6, kind), "::"
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    else:
        sock, host = socket.socket(socket.AF_INET, kind), "0.0.0.0"
    try:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def open_sockets(place: Place) -> tuple[socket.socket, socket.socket | None]:
    """UDP, and TCP on the same port; without TCP when somebody else has it there: it is a fallback only.
    Where any port will do, another is tried: the system looks after UDP alone when it gives one."""
    for is_last in [False] * PORT_TRIES + [True]:
        datagrams = open_socket(socket.SOCK_DGRAM, place, place.port)
        if not place.tcp:
            return datagrams, None
        port = int(datagrams.getsockname()[1])
        try:
            return datagrams, open_socket(socket.SOCK_STREAM, place, port)
        except OSError as error:
            if place.port or is_last:
                log.warning("no TCP candidates", port=port, reason=str(error))
                return datagrams, None
        datagrams.close()
    raise AssertionError("unreachable: the last try returns")


class Switchboard:
    """One UDP port, its TCP twin, and the transports behind them."""

    def __init__(self, place: Place, certificate: Certificate, options: EngineOptions) -> None:
        announced = place.announced or ((primary_address(),) if is_wildcard(place.host) else (place.host,))
        self.place = Place(place.host, place.port, announced, place.engine, place.tcp)
        self.certificate, self.pacer = certificate, Pacer()
        self.responder = IceResponder()
        self.sock, self._listener = open_sockets(self.place)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        self.port = int(self.sock.getsockname()[1])
        self.tcp_port = self.port if self._listener else 0
        self.engine = open_engine(place.engine, self.sock, options)
        self.transports: dict[IceSession, ClientTransport] = {}
        self.tickers: list[Callable[[float], None]] = []
        self.late_ticks = 0
        self._streams: dict[int, Stream] = {}
        self._stream_numbers = 0
        self._server: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.engine.start()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.engine.fileno(), self._readable)
        if self._listener is not None:
            self._server = await loop.create_server(lambda: Stream(self), sock=self._listener)
        self._task = asyncio.create_task(self._ticking())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        for transport in list(self.transports.values()):
            await self.remove(transport)
        for stream in list(self._streams.values()):
            stream.drop()
        if self._server is not None:
            self._server.close()
        elif self._listener is not None:
            self._listener.close()
        asyncio.get_running_loop().remove_reader(self.engine.fileno())
        self.engine.close()
        self.sock.close()

    # --- transports --------------------------------------------------------------------------------------
    def open_transport(self, caller: Caller, on_ended: Ended) -> ClientTransport:
        ice = IceSession(time.monotonic())
        transport = ClientTransport(
            self.engine, ice, self.certificate, self.pacer, self.send, caller, on_ended
        )
        self.transports[ice] = transport
        self.responder.add(ice)
        return transport

    async def remove(self, transport: ClientTransport) -> None:
        await transport.close()
        self.responder.remove(transport.ice)
        self.transports.pop(transport.ice, None)
        for address in transport.ice.addresses:
            if address[0] == "" and (stream := self._streams.get(address[1])):
                stream.drop()

    def candidates(self) -> list[dict[str, object]]:
        return candidates(list(self.place.announced), self.port, self.tcp_port)

    def send(self, data: bytes, address: Address) -> None:
        if address[0]:
            self.engine.send(data, address)
        elif stream := self._streams.get(address[1]):
            stream.send(data)

    # --- datagrams ---------------------------------------------------------------------------------------
    def _readable(self) -> None:
        now = time.monotonic()
        for data, address in self.engine.drain(now):
            if address[0] == "":
                self.send(data, address)
            else:
                self.control(data, address, address, now)

    def control(self, data: bytes, address: Address, seen: Address, now: float) -> bool:
        """STUN or DTLS; True when it came from the client of a transport."""
        if data[0] >= 20:
            session = self.responder.owner(address)
            transport = self.transports.get(session) if session else None
            if transport is not None:
                transport.link.datagram(data)
            return transport is not None
        outcome = self.responder.respond(data, address, seen, now)
        if outcome is None:
            return False
        transport = self.transports.get(outcome.session)
        if transport is not None:
            transport.apply(outcome.change)
        self.send(outcome.reply, address)
        return True

    async def _ticking(self) -> None:
        consent_at = 0.0
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self.late_ticks += now - before > 3 * TICK_SECONDS
            try:
                self.engine.tick(now)
                self._readable()  # what timers and streams left for stream connections
                for ticker in self.tickers:
                    ticker(now)
                if now >= consent_at:
                    consent_at = now + CONSENT_CHECK_SECONDS
                    self._check_consent(now)
            except Exception:
                # One faulty room must not end the clock of all others.
                log.exception("a tick failed")

    def _check_consent(self, now: float) -> None:
        for transport in [t for t in self.transports.values() if t.ice.expired(now)]:
            transport.on_ended(transport, "no consent")
        for stream in [s for s in self._streams.values() if s.is_idle(now)]:
            stream.drop()

    # --- streams -----------------------------------------------------------------------------------------
    def admit(self, stream: Stream) -> int | None:
        """The number of a new connection; None when there are too many."""
        if len(self._streams) >= STREAMS:
            return None
        self._stream_numbers += 1
        self._streams[self._stream_numbers] = stream
        return self._stream_numbers

    def leave(self, number: int) -> None:
        self._streams.pop(number, None)
        session = self.responder.owner(("", number))
        if session is not None and (transport := self.transports.get(session)):
            transport.apply(self.responder.lose(session, ("", number)))


class Stream(asyncio.Protocol):
    """One ICE-TCP connection of a client."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._number: int | None = None
        self._seen: Address = ("", 0)
        self._opened_at = time.monotonic()
        self._authenticated = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked by isinstance: the transports of uvloop are only duck-typed.
        self._transport = cast(asyncio.Transport, transport)
        self._number = self._switchboard.admit(self)
        peer = transport.get_extra_info("peername")
        if self._number is None or peer is None:
            self.drop()
            return
        host, port, *_ = peer
        self._seen = (host, port)
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self._number is None:
            return
        now, address = time.monotonic(), ("", self._number)
        try:
            frames = self._framer.feed(data)
        except BadFrame:
            self.drop()
            return
        for content in frames:
            if content[0] < 64:
                known = self._switchboard.control(content, address, self._seen, now)
                self._authenticated = self._authenticated or known
            elif self._authenticated:
                self._switchboard.engine.inject(content, address, now)
        if frames and not self._authenticated:
            self.drop()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._number is not None:
            self._switchboard.leave(self._number)
            self._number = None

    def is_idle(self, now: float) -> bool:
        return not self._authenticated and now - self._opened_at > STREAM_IDLE_SECONDS

    def send(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() < STREAM_BACKLOG_BYTES:
            transport.write(frame(data))

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
