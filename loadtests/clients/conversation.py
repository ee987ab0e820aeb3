"""One Socket.IO connection, without I/O: bytes come in, what has to be sent piles up.

    conversation.begin(auth)            over WebSocket: the upgrade request waits to be taken
    conversation.receive(data)          calls the listener, may add pongs and the CONNECT
    number = conversation.command(name, fields)
    conversation.take()                 what has to be written to the WebSocket now

    conversation.begin(auth, polls=True)     over long polling:
    conversation.receive_payload(body)       the body of a GET
    conversation.take_payload()              the body of the next POST

From polling to WebSocket: `probe` on a second wire while packets go on by HTTP; `on_probed` tells that it
works, and with `switch` everything travels on it.

A conversation may `begin` again after its connection was lost: it then offers the session id and the offset
it has seen, the way socket.io-client does, and says in `on_connected` whether the server recovered it.
"""

import base64
import random
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec

from loadtests.clients import frames
from loadtests.clients.packets import PARSERS, Kind, Packet

PATH = "/socket.io/"
SEPARATOR = b"\x1e"
Fields = dict[str, Any]


class Listener(Protocol):
    """Who hears what the server says; called synchronously, in order."""

    def on_connected(self, recovered: bool) -> None: ...

    def on_refused(self, data: Any) -> None: ...

    def on_event(self, name: str, body: Any, position: str | None) -> None: ...

    def on_ack(self, number: int, body: Any) -> None: ...

    def on_closed(self, reason: str) -> None: ...

    def on_probed(self) -> None: ...


class Conversation:
    """The protocol state of one user's connection."""

    def __init__(
        self, listener: Listener, host: str, parser: str = "json", entropy: random.Random | None = None
    ):
        entropy = entropy or random.Random()
        self.listener, self.host, self.parser = listener, host, PARSERS[parser]
        self.mask, self.nonce = entropy.randbytes(4), entropy.randbytes(16)
        self.opcode = frames.BINARY if self.parser.binary else frames.TEXT
        self.engine_id: str | None = None
        self.recovery_id: str | None = None
        self.offset: str | None = None
        self.next_number = 0
        self.connected = self.closed = self.polls = False
        self.bytes_received = 0
        # Engine.IO packets that wait for their transport, and bytes for the WebSocket alone.
        self.packets: list[tuple[int, bytes]] = []
        self.wire: list[bytes] = []

    def begin(self, auth: Fields, polls: bool = False) -> None:
        """Start (again) on a fresh transport."""
        self.connected = self.closed = False
        self.polls, self.engine_id = polls, None
        self.packets, self.wire = [], []
        recovery = {"pid": self.recovery_id, "offset": self.offset} if self.recovery_id else {}
        self.auth = {key: value for key, value in recovery.items() if value is not None} | auth
        if not polls:
            self.probe()

    def path(self, transport: str) -> str:
        session = {} if self.engine_id is None else {"sid": self.engine_id}
        return f"{PATH}?{urlencode({'EIO': 4, 'transport': transport, **session})}"

    def probe(self) -> None:
        """Open a WebSocket; beside the polling it is tried out first."""
        self.reader = frames.FrameReader()
        self.head: bytes | None = b""
        self.wire = [frames.upgrade_request(self.host, self.path("websocket"), self.nonce)]

    def switch(self) -> None:
        """What is said from now on goes over the WebSocket."""
        self.polls = False
        self.wire.append(frames.frame(frames.TEXT, b"5", self.mask))

    @property
    def has_output(self) -> bool:
        return bool(self.wire) or (bool(self.packets) and not self.polls)

    def take(self) -> bytes:
        """Everything that has to be written to the WebSocket."""
        if self.packets and not self.polls:
            self.wire += [frames.frame(opcode, packet, self.mask) for opcode, packet in self.packets]
            self.packets = []
        data = b"".join(self.wire)
        self.wire.clear()
        return data

    def take_payload(self) -> bytes:
        """Everything that has to be posted."""
        packets, self.packets = self.packets, []
        return SEPARATOR.join(
            packet if opcode == frames.TEXT else b"b" + base64.b64encode(packet) for opcode, packet in packets
        )

    def receive_payload(self, body: bytes) -> None:
        self.bytes_received += len(body)
        for packet in body.split(SEPARATOR):
            if packet.startswith(b"b"):
                self._message(frames.BINARY, base64.b64decode(packet[1:]))
            else:
                self._message(frames.TEXT, packet)

    def command(self, name: str, fields: Fields) -> int:
        """Queue a command. -> the number its ack will carry"""
        number = self.next_number
        self.next_number += 1
        self._send(Packet(Kind.EVENT, [name, fields], number))
        return number

    def farewell(self) -> None:
        """Queue a Socket.IO DISCONNECT and a close: a goodbye that is not to be recovered."""
        self._send(Packet(Kind.DISCONNECT))
        if self.polls:
            self.packets.append((frames.TEXT, b"1"))
        else:
            self.packets.append((frames.CLOSE, (1000).to_bytes(2, "big")))
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
        self.packets.append((self.opcode, self.parser.encode(packet)))

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
        if self.polls:
            self.wire.append(frames.frame(frames.TEXT, b"2probe", self.mask))
        return rest

    def _message(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.TEXT and not payload.startswith(b"4"):
            self._engine(payload)
        elif opcode in (frames.TEXT, frames.BINARY):
            self._packet(self.parser.decode(payload))
        elif opcode == frames.PING:
            self.wire.append(frames.frame(frames.PONG, payload, self.mask))
        elif opcode == frames.CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            self.lost(f"server closed with {code}")

    def _engine(self, payload: bytes) -> None:
        kind = payload[:1]
        if kind == b"0":
            self.engine_id = msgspec.json.decode(payload[1:])["sid"]
            self._send(Packet(Kind.CONNECT, self.auth))
        elif kind == b"2":
            self.packets.append((frames.TEXT, b"3" + payload[1:]))
        elif payload == b"3probe":
            self.listener.on_probed()
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
            self.recovery_id, self.connected = recovery_id, True
            if not recovered:
                self.offset = None
            self.listener.on_connected(recovered)
        elif kind == Kind.CONNECT_ERROR:
            self.listener.on_refused(data)
        elif kind == Kind.DISCONNECT:
            self.recovery_id = self.offset = None
            self.lost("disconnected by server")
