"""A WebSocket connection: the asyncio protocol that owns the socket after the HTTP upgrade.

Receiving has a fast path for what clients really send, one small masked frame per read; everything else goes
through a `FrameReader` that exists only while it is needed. Sending is `transport.write` of ready frames. A
link belongs to one session at most; without one it only ends the closing handshake.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from typing import Protocol, cast

from realtime.engine import framing
from realtime.engine.limits import Limits
from realtime.engine.lines import NO_LINE
from realtime.engine.parser import (
    BAD_DATA,
    NORMAL,
    POLICY,
    FrameError,
    FrameReader,
    close_code,
    text,
    unmask,
)
from realtime.engine.session import Session
from realtime.engine.wheel import Wheel

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT_HEAD, BINARY_HEAD = framing.FINAL_BIT | framing.TEXT, framing.FINAL_BIT | framing.BINARY


def accept_response(key: str) -> bytes:
    digest = base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + digest + b"\r\n\r\n"
    )


def valid_key(key: str | None) -> bool:
    if key is None or len(key) != 24:
        return False
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


class Owner(Protocol):
    """The engine, as its links see it."""

    limits: Limits
    wheel: Wheel

    def received(self, link: Link, data: str | bytes) -> None:
        """A whole message has come."""
        ...

    def broken(self, session: Session, code: int) -> None:
        """The peer broke the rules."""
        ...

    def link_lost(self, link: Link, error: Exception | None) -> None: ...


class Link(asyncio.Protocol):
    __slots__ = ("behind", "closing", "engine", "line", "probing", "reader", "session", "slot", "transport")

    def __init__(self, engine: Owner, session: Session | None) -> None:
        self.engine, self.session = engine, session
        self.transport: asyncio.Transport | None = None
        self.reader: FrameReader | None = None
        self.closing = False
        self.probing = False  # an upgrade that is not completed yet: polling still carries the session
        self.slot = -1
        self.line = NO_LINE
        self.behind = False  # the transport keeps what the kernel did not take

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        keep = 0  # a plain transport says at once when it keeps anything
        if sock is None or transport.get_extra_info("sslcontext") is not None:
            keep = self.engine.limits.soft_buffer_bytes  # TLS always keeps something for a moment
        else:
            self.line = sock.fileno()
        self.behind = transport.get_write_buffer_size() > keep
        transport.set_write_buffer_limits(high=keep)

    def connection_lost(self, error: Exception | None) -> None:
        self.closing = True
        self.engine.wheel.discard(self)
        self.engine.link_lost(self, error)
        self.session = self.transport = self.reader = None

    def pause_writing(self) -> None:
        self.behind = True
        if self.session is not None:
            self.session.fall_behind()

    def resume_writing(self) -> None:
        self.behind = False
        if self.session is not None:
            self.session.catch_up()

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        try:
            if self.reader is None and not self.closing:
                data = self._short_messages(data)
            if data or self.reader is not None:
                self._read(data)
        except UnicodeDecodeError:
            self._refuse(BAD_DATA)
        except FrameError as error:
            self._refuse(error.code)

    def _short_messages(self, data: bytes) -> bytes:
        """The fast path: whole, masked, unfragmented messages of < 126 bytes. Returns what is left."""
        start, end = 0, len(data)
        while end - start >= 6:
            size = data[start + 1] - 0x80
            stop = start + 6 + size
            opcode = data[start]
            if not 0 <= size < 126 or stop > end or (opcode != TEXT_HEAD and opcode != BINARY_HEAD):
                break
            body = unmask(data[start + 2 : start + 6], data[start + 6 : stop])
            start = stop
            self.engine.received(self, body.decode() if opcode == TEXT_HEAD else body)
            if self.closing or (self.session is not None and self.session.reading_paused):
                break
        return data[start:] if start else data

    # Frames.

    def _read(self, data: bytes) -> None:
        reader = self.reader
        if reader is None:
            limits = self.engine.limits
            reader = FrameReader(limits.message_bytes, limits.fragments, limits.control_frames)
            self.reader = reader
        reader.feed(data)
        while not self._stopped() and (message := reader.next()) is not None:
            opcode, body = message
            if opcode == framing.CLOSE:
                self._closed_by_peer(body)
            elif self.closing:
                pass
            elif opcode == framing.TEXT:
                self.engine.received(self, text(body))
            elif opcode == framing.BINARY:
                self.engine.received(self, body)
            elif opcode == framing.PING:
                self._pong(body)
        if reader.idle:
            self.reader = None

    def _stopped(self) -> bool:
        """Nobody wants more now; after a pause `continue_reading` parses the rest."""
        if self.transport is None or self.transport.is_closing():
            return True
        return self.session is not None and self.session.reading_paused

    def continue_reading(self) -> None:
        """The consumer has caught up: handle what was read but not parsed, then read on."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            if self.reader is not None:
                self.data_received(b"")

    def _pong(self, body: bytes) -> None:
        """Answered unless the peer does not read: pings must not fill our buffers."""
        transport = self.transport
        if transport is not None and transport.get_write_buffer_size() < self.engine.limits.soft_buffer_bytes:
            transport.write(framing.frame(framing.PONG, body))

    def _closed_by_peer(self, body: bytes) -> None:
        code = close_code(body)
        transport = self.transport
        if transport is None:
            return
        if not self.closing:
            self.closing = True
            transport.write(framing.close_frame(code))
        transport.close()
        self.line = NO_LINE
        if self.session is not None:
            self.session.rechoose()

    def _refuse(self, code: int) -> None:
        """The peer broke the WebSocket protocol."""
        session = self.session
        self.reader = None
        if session is not None and not self.probing:
            self.engine.broken(session, code)
        else:
            self.close(code if code else POLICY)

    # Closing.

    def close(self, code: int = NORMAL) -> None:
        """Starts the closing handshake; the wheel cuts the socket if the peer does not answer."""
        if self.closing or self.transport is None:
            return
        self.closing = True
        self.transport.write(framing.close_frame(code))
        self.transport.resume_reading()  # its answer must be seen, also when the consumer had stopped us
        self.engine.wheel.add(self, self.engine.wheel.now() + self.engine.limits.linger_seconds)

    def tick(self, _now: float) -> float | None:
        self.abort()
        return None

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
