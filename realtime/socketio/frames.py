"""What is sent to clients: one Socket.IO packet, encoded and framed at most once per parser.

`Frames(name, body, position)` is one event for any number of members; both parsers share the object, so an
event costs at most two encodings, however many clients see it. The position is the last argument on the
wire, where clients with connection state recovery look for it. An event without one must not end in a
string, or such a client would take that string for a position: so a body is never a plain string.
"""

from typing import Any

import msgspec
from socketio.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet

from realtime.engine import framing

_json = msgspec.json.Encoder()
_pack = msgspec.msgpack.Encoder()

BINARY_OFFSET = 3  # EVENT -> BINARY_EVENT, ACK -> BINARY_ACK


class Frames:
    __slots__ = ("_json_wire", "_pack_wire", "ack_id", "binary", "data", "kind", "namespace", "position")

    def __init__(self, name: str, body: object, position: str | None = None) -> None:
        if isinstance(body, str):
            raise TypeError("the body of an event is not a string")
        self.kind, self.namespace, self.binary = EVENT, "/", False
        self.ack_id: int | None = None
        self.data: Any = [name, body] if position is None else [name, body, position]
        self.position = position
        self._json_wire: bytes | None = None
        self._pack_wire: bytes | None = None

    @classmethod
    def packet(
        cls, kind: int, data: Any, namespace: str = "/", ack_id: int | None = None, *, binary: bool = False
    ) -> "Frames":
        """Any other packet. `binary` says that the data may hold bytes, which JSON clients get as
        attachments."""
        made = cls.__new__(cls)
        made.kind, made.data, made.namespace, made.ack_id = kind, data, namespace, ack_id
        made.binary, made.position = binary, None
        made._json_wire = made._pack_wire = None
        return made

    def wire(self, packed: bool) -> bytes:
        """The frame(s) for clients of the msgpack parser (`packed`) or of the default one."""
        if packed:
            if self._pack_wire is None:
                self._pack_wire = self._encode_pack()
            return self._pack_wire
        if self._json_wire is None:
            self._json_wire = self._encode_json()
        return self._json_wire

    def polling(self, packed: bool) -> bytes:
        """The payload of an HTTP response that holds just this packet."""
        return framing.polling_payload([self.wire(packed)])

    def _encode_pack(self) -> bytes:
        fields: dict[str, Any] = {"type": self.kind, "nsp": self.namespace}
        if self.data is not None:
            fields["data"] = self.data
        if self.ack_id is not None:
            fields["id"] = self.ack_id
        return framing.frame(framing.BINARY, _pack.encode(fields))

    def _encode_json(self) -> bytes:
        if self.binary:
            data, attachments = Packet.deconstruct_binary(self.data)
            if attachments:
                head = self._head(self.kind + BINARY_OFFSET, f"{len(attachments)}-")
                wires = [framing.frame(framing.TEXT, head + _json.encode(data))]
                wires += [framing.frame(framing.BINARY, bytes(item)) for item in attachments]
                return b"".join(wires)
        tail = _json.encode(self.data) if self.data is not None else b""
        return framing.frame(framing.TEXT, self._head(self.kind, "") + tail)

    def _head(self, kind: int, count: str) -> bytes:
        namespace = "" if self.namespace == "/" else self.namespace + ","
        ack_id = "" if self.ack_id is None else str(self.ack_id)
        return f"4{kind}{count}{namespace}{ack_id}".encode()


def connect(sid: str, pid: str | None, namespace: str = "/") -> Frames:
    return Frames.packet(CONNECT, {"sid": sid} if pid is None else {"sid": sid, "pid": pid}, namespace)


def refuse(fields: dict[str, Any], namespace: str = "/") -> Frames:
    return Frames.packet(CONNECT_ERROR, fields, namespace)


def disconnect(namespace: str = "/") -> Frames:
    return Frames.packet(DISCONNECT, None, namespace)


def acknowledge(ack_id: int, arguments: list[Any], namespace: str = "/", *, binary: bool = False) -> Frames:
    return Frames.packet(ACK, arguments, namespace, ack_id, binary=binary)


def reply_wire(ack_id: int, reply: object, packed: bool) -> bytes:
    """The frame that answers one command of the main namespace; nobody else gets it, so it is built at
    once."""
    if packed:
        fields = {"type": ACK, "nsp": "/", "data": (reply,), "id": ack_id}
        return framing.frame(framing.BINARY, _pack.encode(fields))
    return framing.frame(framing.TEXT, b"43%d[%b]" % (ack_id, _json.encode(reply)))
