"""Socket.IO v5 packets from clients, of both parsers: decoded strictly, or BadPacket.

Stock decoders let a client call the server's own `connect` and `disconnect` handlers, announce ten digits of
attachments, refer to one attachment a thousand times and nest lists without end. Here every packet is checked
whole before anybody sees it, and whoever sends a bad one is closed.
"""

import re
from typing import Any

import msgspec
from socketio.packet import ACK, BINARY_EVENT, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT

from realtime.engine.limits import Limits
from realtime.engine.reasons import BadPacket
from realtime.socketio.frames import BINARY_OFFSET

RESERVED = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
NAMESPACE_CHARACTERS = 64
ACK_ID_DIGITS = 15  # below 2**53, so that every client can hold it
LARGEST_ACK_ID = 10**ACK_ID_DIGITS - 1
_decode_json = msgspec.json.Decoder().decode
# type, attachment count, namespace, ack id; the rest is the payload
_HEAD = re.compile(r"([0-6])(?:([0-9]{1,3})-)?(?:(/[^,]{0,63})(?:,|\Z))?([0-9]{0,15})", re.ASCII)

# an escape in JSON: a high surrogate with its low one or without, a low one alone, or any other
_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|u([dD][c-fC-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class Inbound:
    """One packet; `missing` attachments are still to come."""

    __slots__ = ("ack_id", "attachments", "attachments_bytes", "data", "kind", "missing", "namespace")

    def __init__(self, kind: int, namespace: str, ack_id: int | None, data: Any, missing: int = 0) -> None:
        self.kind, self.namespace, self.ack_id, self.data = kind, namespace, ack_id, data
        self.missing = missing
        self.attachments: list[bytes] = []
        self.attachments_bytes = 0

    def attach(self, blob: bytes, limits: Limits) -> bool:
        """Add one attachment; True when the packet is complete."""
        self.attachments.append(blob)
        self.attachments_bytes += len(blob)
        if self.attachments_bytes > limits.message_bytes:
            raise BadPacket("attachments too large")
        self.missing -= 1
        if self.missing:
            return False
        unused = set(range(len(self.attachments)))
        self.data = _fill(self.data, self.attachments, unused)
        if unused:
            raise BadPacket("attachment not used")
        self.kind -= BINARY_OFFSET
        _checked(self)
        return True


def decode_text(text: str, limits: Limits) -> Inbound:
    start = text.find("[")
    if text[:1] == "2" and 0 < start <= ACK_ID_DIGITS + 1:
        digits = text[1:start]
        if not digits or (digits.isascii() and digits.isdecimal()):
            # nearly all packets: an event of the main namespace, nothing but its ack id before the payload
            ack_id = int(digits) if digits else None
            return _checked(Inbound(EVENT, "/", ack_id, _payload(text[start:], limits.depth)))
    return _decode_any(text, limits)


def _decode_any(text: str, limits: Limits) -> Inbound:
    head = _HEAD.match(text)
    if head is None:
        raise BadPacket("bad packet type")
    kind, missing = int(head[1]), 0
    if kind >= BINARY_EVENT:
        missing = int(head[2] or 0)
        if not 0 < missing <= limits.attachments:
            raise BadPacket("bad attachment count")
    elif head[2] is not None:
        raise BadPacket("unexpected attachment count")
    namespace = (head[3] or "/").partition("?")[0]
    ack_id = int(head[4]) if head[4] else None
    packet = Inbound(kind, namespace, ack_id, _payload(text[head.end() :], limits.depth), missing)
    if not missing:
        return _checked(packet)
    if type(packet.data) is not list:
        raise BadPacket("bad payload")
    return packet


def _payload(text: str, depth: int) -> Any:
    if not text:
        return None
    try:
        data = _decode_json(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        whole = _ESCAPE.sub(_whole, text)
        if whole == text:
            raise BadPacket("bad JSON") from error
        return _payload(whole, depth)
    if text.count("[") + text.count("{") > depth:
        _check_values(data, depth)
    return data


def _whole(escape: re.Match[str]) -> str:
    """Half an emoji, cut off by a text field of the client, becomes the replacement character: it is no
    reason to cut off the client."""
    is_half = (escape[1] and not escape[2]) or escape[3]
    return "\\ufffd" if is_half else escape[0]


def decode_pack(blob: bytes, limits: Limits) -> Inbound:
    try:
        fields = msgspec.msgpack.decode(blob)
    except (msgspec.MsgspecError, RecursionError, ValueError, TypeError) as error:
        raise BadPacket("bad msgpack") from error
    if type(fields) is not dict:
        raise BadPacket("bad msgpack packet")
    kind, namespace, ack_id = fields.get("type"), fields.get("nsp"), fields.get("id")
    if type(kind) is not int or not CONNECT <= kind <= CONNECT_ERROR:
        raise BadPacket("bad packet type")
    if type(namespace) is not str or namespace[:1] != "/" or len(namespace) > NAMESPACE_CHARACTERS:
        raise BadPacket("bad namespace")
    if ack_id is not None and (type(ack_id) is not int or not 0 <= ack_id <= LARGEST_ACK_ID):
        raise BadPacket("bad ack id")
    data = _check_values(fields.get("data"), limits.depth)
    return _checked(Inbound(kind, namespace.partition("?")[0], ack_id, data))


def _checked(packet: Inbound) -> Inbound:
    kind, data = packet.kind, packet.data
    if kind == EVENT:
        good = type(data) is list and bool(data) and type(data[0]) is str and data[0] not in RESERVED
    elif kind == ACK:
        good = type(data) is list and packet.ack_id is not None
    elif kind == CONNECT:
        good = (data is None or type(data) is dict) and packet.ack_id is None
    else:
        good = kind == DISCONNECT and data is None and packet.ack_id is None
    if not good:
        raise BadPacket("bad payload")
    return packet


def _check_values(value: Any, depth: int) -> Any:
    """Bounded nesting, and only what JSON has (and bytes). Returns `value` with msgpack's `undefined` as
    null."""
    kind = type(value)
    if kind is list or kind is dict:
        if not depth:
            raise BadPacket("too deep")
        if kind is list:
            for index, item in enumerate(value):
                value[index] = _check_values(item, depth - 1)
        else:
            for key, item in value.items():
                if type(key) is not str:
                    raise BadPacket("bad key")
                value[key] = _check_values(item, depth - 1)
        return value
    if value is None or kind in (str, int, float, bool, bytes):
        return value
    if kind is msgspec.msgpack.Ext and value.code == 0 and len(value.data) == 1:
        return None  # how the JavaScript packer writes `undefined`
    raise BadPacket("bad value")


def _fill(value: Any, attachments: list[bytes], unused: set[int]) -> Any:
    """Put each attachment in the place of its placeholder, each exactly once."""
    if type(value) is list:
        return [_fill(item, attachments, unused) for item in value]
    if type(value) is dict:
        if value.get("_placeholder") is True:
            number = value.get("num")
            if type(number) is not int or number not in unused:
                raise BadPacket("bad placeholder")
            unused.discard(number)
            return attachments[number]
        return {key: _fill(item, attachments, unused) for key, item in value.items()}
    return value
