"""Clients of the wire without sockets: a transport that remembers, and what was written as messages."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec

from realtime.engine import framing
from realtime.engine.server import Engine
from realtime.socketio.server import Server

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ENVIRON = {"REQUEST_METHOD": "GET", "QUERY_STRING": "", "REMOTE_ADDR": "192.0.2.1", "wsgi.url_scheme": "http"}


def mask(payload: bytes, key: bytes = b"\x01\x02\x03\x04") -> bytes:
    return bytes(byte ^ key[index & 3] for index, byte in enumerate(payload))


def client_frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0) -> bytes:
    """A frame as a client sends it."""
    head = framing.frame(opcode, payload)[: -len(payload) or None]
    first = (0x80 if final else 0) | reserved | opcode
    return bytes((first, head[1] | 0x80)) + head[2:] + b"\x01\x02\x03\x04" + mask(payload)


def text_frame(text: str) -> bytes:
    return client_frame(framing.TEXT, text.encode())


def server_frames(data: bytes) -> list[tuple[int, bytes]]:
    """What a server sent, as opcode and payload; nothing may be left over."""
    found, position = [], 0
    while position < len(data):
        opcode, size = data[position] & 15, data[position + 1]
        assert data[position] & 0xF0 == 0x80
        position += 2
        width = {126: 2, 127: 8}.get(size, 0)
        if width:
            size = int.from_bytes(data[position : position + width], "big")
            position += width
        assert position + size <= len(data)
        found.append((opcode, data[position : position + size]))
        position += size
    return found


class MemoryTransport(asyncio.Transport):
    """Keeps what is written. `stalled` makes it behave like a peer that does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol | None = None
        self.written = bytearray()
        self.writes = 0
        self.buffered = 0
        self.high = 64 << 10
        self.stalled = self.reading_paused = self.closing = self.aborted = False
        self.extra: dict[str, Any] = {}
        self.write_seconds = 0.0  # what a system call costs

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.extra.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = self.high if high is None else high

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def write(self, data: bytes) -> None:  # type: ignore[override]
        if self.closing:
            return  # as real transports do until `connection_lost` has been called
        deadline = self.write_seconds and time.perf_counter() + self.write_seconds
        while deadline and time.perf_counter() < deadline:
            pass
        self.written += data
        self.writes += 1
        if self.stalled:
            before, self.buffered = self.buffered, self.buffered + len(data)
            if before <= self.high < self.buffered and self.protocol is not None:
                self.protocol.pause_writing()

    def drain(self) -> None:
        """The peer reads again."""
        self.stalled, self.buffered = False, 0
        assert self.protocol is not None
        self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.lose(None)

    def abort(self) -> None:
        self.aborted = True
        self.lose(None)

    def lose(self, error: Exception | None) -> None:
        """The connection ends, at the next turn of the loop as with real ones."""
        if not self.closing:
            self.closing = True
            assert self.protocol is not None
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)


class MemoryClient:
    """A WebSocket client of an engine."""

    def __init__(
        self,
        engine: Engine,
        query: dict[str, str] | None = None,
        tail: bytes = b"",
        transport: MemoryTransport | None = None,
    ) -> None:
        self.engine = engine
        self.transport = transport or MemoryTransport()
        query = query or {"EIO": "4", "transport": "websocket"}
        engine.accept_socket(query, KEY, "13", dict(ENVIRON), self.transport, tail)
        head, _, rest = bytes(self.transport.written).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        self._seen = len(self.transport.written) - len(rest)

    def send(self, *messages: str | bytes) -> None:
        """All in one read."""
        self.feed(
            b"".join(
                text_frame(item) if isinstance(item, str) else client_frame(framing.BINARY, item)
                for item in messages
            )
        )

    def feed(self, data: bytes) -> None:
        assert self.transport.protocol is not None
        if not self.transport.closing:
            self.transport.protocol.data_received(data)

    def received(self) -> list[str | bytes]:
        """New messages; a close frame as `close <code>`."""
        data, self._seen = bytes(self.transport.written[self._seen :]), len(self.transport.written)
        found: list[str | bytes] = []
        for opcode, payload in server_frames(data):
            if opcode == framing.CLOSE:
                found.append(f"close {int.from_bytes(payload, 'big')}")
            else:
                found.append(payload.decode() if opcode == framing.TEXT else payload)
        return found

    def lose(self, error: Exception | None = None) -> None:
        self.transport.lose(error)


class SocketClient(MemoryClient):
    """A Socket.IO client, of either parser, in the main namespace."""

    def __init__(self, server: Server, *, packed: bool = False, auth: dict[str, Any] | None = None) -> None:
        super().__init__(server.eio)
        self.packed = packed
        self.received()
        self.connect(auth)

    def connect(self, auth: dict[str, Any] | None = None) -> None:
        if self.packed:
            fields: dict[str, Any] = {"type": 0, "nsp": "/"}
            self.send(msgspec.msgpack.encode(fields if auth is None else {**fields, "data": auth}))
        else:
            self.send("40" + ("" if auth is None else json.dumps(auth)))

    def emit(self, name: str, *arguments: Any, ack_id: int | None = None) -> None:
        self.send(self.event(name, *arguments, ack_id=ack_id))

    def event(self, name: str, *arguments: Any, ack_id: int | None = None) -> str | bytes:
        if self.packed:
            fields: dict[str, Any] = {"type": 2, "nsp": "/", "data": [name, *arguments]}
            return msgspec.msgpack.encode(fields if ack_id is None else {**fields, "id": ack_id})
        return f"42{'' if ack_id is None else ack_id}" + json.dumps([name, *arguments])

    def packets(self) -> list[Any]:
        """New packets: events as their data, acks as `("ack", id, data)`, others as `(type, data)`."""
        found: list[Any] = []
        for message in self.received():
            if isinstance(message, bytes):
                fields = msgspec.msgpack.decode(message)
                kind, ack_id, data = fields["type"], fields.get("id"), fields.get("data")
            elif message[:1] == "4":
                digits = len(message[2:]) - len(message[2:].lstrip("0123456789"))
                kind, ack_id = int(message[1]), int(message[2 : 2 + digits]) if digits else None
                data = json.loads(message[2 + digits :]) if message[2 + digits :] else None
            else:
                found.append(message)
                continue
            found.append(data if kind == 2 else ("ack", ack_id, data) if kind == 3 else (kind, data))
        return found


async def settle(turns: int = 20) -> None:
    """Lets everything that is ready run."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Waits for a condition with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
