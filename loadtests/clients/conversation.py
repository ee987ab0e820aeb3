"""One Socket.IO connection over WebSocket, without I/O: bytes come in, bytes to send pile up in `outbox`.

    conversation.begin(auth)            the upgrade request is in the outbox
    conversation.receive(data)          calls the listener, may add pongs and the CONNECT to the outbox
    number = conversation.command(name, fields)
    conversation.take()                 what has to be written now

A conversation may `begin` again after its connection was lost: it then offers the session id and the offset
it has seen, the way socket.io-client does, and says in `on_connected` whether the server recovered it.
"""

import random
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec

from loadtests.clients import frames
from loadtests.clients.packets import PARSERS, Kind, Packet

PATH = "/socket.io/"
Fields = dict[str, Any]


class Listener(Protocol):
    """Who hears what the server says; called synchronously, in order."""

    def on_connected(self, recovered: bool) -> None: ...

    def on_refused(self, data: Any) -> None: ...

    def on_event(self, name: str, body: Any, position: str | None) -> None: ...

    def on_ack(self, number: int, body: Any) -> None: ...

    def on_closed(self, reason: str) -> None: ...


class Conversation:
    """The protocol state of one user's connection."""

    def __init__(
        self, listener: Listener, host: str, parser: str = "json", entropy: random.Random | None = None
    ):
        entropy = entropy or random.Random()
        self.listener, self.host, self.parser = listener, host, PARSERS[parser]
        self.mask, self.nonce = entropy.randbytes(4), entropy.randbytes(16)
        self.opcode = frames.BINARY if self.parser.binary else frames.TEXT
        self.session_id: str | None = None
        self.recovery_id: str | None = None
        self.offset: str | None = None
        self.next_number = 0
        self.connected = self.closed = False
        self.bytes_received = 0
        self.outbox: list[bytes] = []

    def begin(self, auth: Fields) -> None:
        """Start (again) on a fresh transport."""
        self.reader = frames.FrameReader()
        self.head: bytes | None = b""
        self.connected = self.closed = False
        recovery = {"pid": self.recovery_id, "offset": self.offset} if self.recovery_id else {}
        self.auth = {key: value for key, value in recovery.items() if value is not None} | auth
        query = urlencode({"EIO": 4, "transport": "websocket"})
        self.outbox = [frames.upgrade_request(self.host, f"{PATH}?{query}", self.nonce)]

    def take(self) -> bytes:
        data = b"".join(self.outbox)
        self.outbox.clear()
        return data

    def command(self, name: str, fields: Fields) -> int:
        """Queue a command. -> the number its ack will carry"""
        number = self.next_number
        self.next_number += 1
        self._send(Packet(Kind.EVENT, [name, fields], number))
        return number

    def farewell(self) -> None:
        """Queue a Socket.IO DISCONNECT and a WebSocket close: a goodbye that is not to be recovered."""
        self._send(Packet(Kind.DISCONNECT))
        self.outbox.append(frames.frame(frames.CLOSE, (1000).to_bytes(2, "big"), self.mask))
        self.recovery_id = self.offset = None

    def receive(self, data: bytes) -> None:
        self.bytes_received += len(data)
        if self.head is not None:
            data = self._finish_upgrade(self.head + data)
        for opcode, payload in self.reader.feed(data) if data else ():
            if self.closed:
                return
            self._message(opcode, payload)

    def lost(self, reason: str) -> None:
        """The transport is gone. Reported once."""
        if not self.closed:
            self.closed, self.connected = True, False
            self.listener.on_closed(reason)

    def _send(self, packet: Packet) -> None:
        self.outbox.append(frames.frame(self.opcode, self.parser.encode(packet), self.mask))

    def _finish_upgrade(self, data: bytes) -> bytes:
        """-> what followed the response head; empty while the head is incomplete or refused."""
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            self.head = data
            if len(data) > frames.MAXIMUM_HEAD_BYTES:
                raise frames.ProtocolError("endless response head")
            return b""
        self.head = None
        if not head.startswith(b"HTTP/1.1 101"):
            self.lost(head.split(b"\r\n", 1)[0].decode(errors="replace"))
            return b""
        return rest

    def _message(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.TEXT and not payload.startswith(b"4"):
            self._engine(payload)
        elif opcode in (frames.TEXT, frames.BINARY):
            self._packet(self.parser.decode(payload))
        elif opcode == frames.PING:
            self.outbox.append(frames.frame(frames.PONG, payload, self.mask))
        elif opcode == frames.CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            self.lost(f"server closed with {code}")

    def _engine(self, payload: bytes) -> None:
        kind = payload[:1]
        if kind == b"0":
            self.session_id = msgspec.json.decode(payload[1:])["sid"]
            self._send(Packet(Kind.CONNECT, self.auth))
        elif kind == b"2":
            self.outbox.append(frames.frame(frames.TEXT, b"3" + payload[1:], self.mask))
        elif kind == b"1":
            self.lost("engine closed by server")

    def _packet(self, packet: Packet) -> None:
        kind, data = packet.kind, packet.data
        if kind == Kind.EVENT:
            last = data[-1]
            position = last if isinstance(last, str) and len(data) > 1 else None
            if position is not None and self.recovery_id is not None:
                self.offset = position
            self.listener.on_event(data[0], data[1] if len(data) > 1 else None, position)
        elif kind == Kind.ACK:
            if packet.ack_id is None:
                raise frames.ProtocolError("ack without a number")
            self.listener.on_ack(packet.ack_id, data[0] if data else None)
        elif kind == Kind.CONNECT:
            recovery_id = data.get("pid")
            recovered = recovery_id is not None and recovery_id == self.recovery_id
            self.session_id, self.recovery_id, self.connected = data["sid"], recovery_id, True
            if not recovered:
                self.offset = None
            self.listener.on_connected(recovered)
        elif kind == Kind.CONNECT_ERROR:
            self.listener.on_refused(data)
        elif kind == Kind.DISCONNECT:
            self.recovery_id = self.offset = None
            self.lost("disconnected by server")
