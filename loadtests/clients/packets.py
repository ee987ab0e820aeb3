"""Socket.IO v5 packets of the default namespace, in the two encodings the server speaks.

A load process hears the same event once per listener: a thousand equal byte strings. Decoding is therefore
remembered for the last few distinct payloads of the process, and costs one dictionary look-up per listener.
Decoded bodies are shared; who wants to change one copies it.
"""

from enum import IntEnum
from typing import Any, Protocol

import msgpack
import msgspec

REMEMBERED_PAYLOADS = 256


class Kind(IntEnum):
    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4


class Packet(msgspec.Struct, frozen=True):
    kind: int
    data: Any = None
    ack_id: int | None = None


class Parser(Protocol):
    """An encoding of packets; `binary` says in which kind of WebSocket message it travels."""

    binary: bool

    def encode(self, packet: Packet) -> bytes: ...

    def decode(self, payload: bytes) -> Packet: ...


class JsonParser:
    """The default parser: Engine.IO type "4", packet type, ack id, JSON."""

    binary = False

    def encode(self, packet: Packet) -> bytes:
        number = b"" if packet.ack_id is None else str(packet.ack_id).encode()
        data = b"" if packet.data is None else msgspec.json.encode(packet.data)
        return b"4%d%b%b" % (packet.kind, number, data)

    def decode(self, payload: bytes) -> Packet:
        kind, start = payload[1] - 48, 2
        while start < len(payload) and 48 <= payload[start] <= 57:
            start += 1
        ack_id = int(payload[2:start]) if start > 2 else None
        data = msgspec.json.decode(payload[start:]) if start < len(payload) else None
        return Packet(kind, data, ack_id)


class MessagePackParser:
    """socket.io-msgpack-parser: one map {type, data, nsp, id?} in a binary message."""

    binary = True

    def encode(self, packet: Packet) -> bytes:
        fields: dict[str, Any] = {"type": int(packet.kind), "data": packet.data, "nsp": "/"}
        if packet.ack_id is not None:
            fields["id"] = packet.ack_id
        if packet.data is None:
            del fields["data"]
        return bytes(msgpack.packb(fields))

    def decode(self, payload: bytes) -> Packet:
        fields = msgpack.unpackb(payload)
        return Packet(fields["type"], fields.get("data"), fields.get("id"))


class Remembering:
    """A parser that decodes equal event payloads once for all connections of the process."""

    def __init__(self, parser: Parser):
        self.parser, self.binary = parser, parser.binary
        self.encode = parser.encode
        self.known: dict[bytes, Packet] = {}

    def decode(self, payload: bytes) -> Packet:
        packet = self.known.get(payload)
        if packet is None:
            packet = self.parser.decode(payload)
            if len(self.known) >= REMEMBERED_PAYLOADS:
                del self.known[next(iter(self.known))]
            self.known[payload] = packet
        return packet


PARSERS: dict[str, Parser] = {"json": Remembering(JsonParser()), "msgpack": Remembering(MessagePackParser())}
