"""Socket.IO packets from strangers: decoded to what the reference decoder says, or refused, never anything
else."""

import json
import random
from typing import Any

import msgpack
from engineio.payload import Payload
from socketio.packet import BINARY_EVENT, EVENT, Packet

from realtime.engine.limits import Limits
from realtime.engine.reasons import BadPacket
from realtime.socketio.frames import Frames
from realtime.socketio.packets import RESERVED, Inbound, decode_pack, decode_text
from tests.fuzz.registry import Target

LIMITS = Limits(attachments=3)
WORDS = (
    "seat:take",
    "chat:send",
    "connect",
    "disconnect",
    "",
    "é日",
    "_placeholder",
    "num",
    "a" * 200,
    "0",
    "/x",
)
PIECES = (
    *'[]{},:"0123456-/?e.',
    "null",
    "true",
    '"a"',
    "[1]",
    '{"a":1}',
    "\\ud800",
    "\\u0000",
    "1e999",
    "NaN",
)


def value(rng: random.Random, depth: int, *, binary: bool = False) -> Any:
    kind = rng.randrange(9 if depth else 6)
    if kind == 0:
        return rng.choice((0, 1, -1, 2**31, 2**53, -(2**63), 2**64 - 1))
    if kind == 1:
        return rng.choice((0.5, -1e300, 1e-9))
    if kind == 2:
        return rng.choice((None, True, False))
    if kind == 3 and binary:
        return rng.randbytes(rng.randrange(5))
    if kind < 6:
        return rng.choice(WORDS)
    if kind < 8:
        return [value(rng, depth - 1, binary=binary) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): value(rng, depth - 1, binary=binary) for _ in range(rng.randrange(4))}


def make_text(rng: random.Random) -> str:
    if rng.random() < 0.2:
        return "".join(rng.choices(PIECES, k=rng.randrange(30)))
    payload = rng.choice(
        (
            [rng.choice(WORDS), value(rng, rng.randrange(20))],
            value(rng, 3),
            [rng.choice(WORDS), {"_placeholder": True, "num": rng.randrange(-1, 3)}],
        )
    )
    head = str(rng.randrange(8)) + rng.choice(("", "", "", "1-", "2-", "9999999999-", "-", "0-"))
    head += rng.choice(("", "", "", "/a,", "/a?b=c,", "/", "/" + "n" * 70 + ","))
    head += rng.choice(("", "", "7", "123456789012345", "1" * 20, "x"))
    text = head + (json.dumps(payload) if rng.random() < 0.9 else "")
    if rng.random() < 0.2:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(PIECES) + text[at + rng.randrange(3) :]
    return text


def _valid(packet: Inbound) -> None:
    """What everybody above may rely on."""
    assert 0 <= packet.kind <= 3 or packet.missing
    assert packet.namespace.startswith("/")
    if packet.kind == EVENT:
        assert type(packet.data[0]) is str
        assert packet.data[0] not in RESERVED
    assert packet.ack_id is None or packet.ack_id >= 0


def _replaced(data: Any) -> Any:
    """The reference decoder keeps lone surrogates, which no encoder of ours could send on."""
    if isinstance(data, str):
        return data.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(data, list):
        return [_replaced(item) for item in data]
    if isinstance(data, dict):
        return {_replaced(key): _replaced(item) for key, item in data.items()}
    return data


def check_text(text: str) -> None:
    try:
        packet = decode_text(text, LIMITS)
    except BadPacket:
        return
    _valid(packet)
    reference = Packet(encoded_packet=text)
    kind = reference.packet_type
    assert kind == packet.kind
    assert (reference.namespace or "/") == packet.namespace
    assert reference.id == packet.ack_id
    assert _replaced(reference.data) == packet.data
    assert getattr(reference, "attachment_count", 0) == packet.missing
    if kind >= BINARY_EVENT:
        blobs = [b"blob%d" % number for number in range(packet.missing)]
        try:
            done = [packet.attach(blob, LIMITS) for blob in blobs]
        except BadPacket:
            return
        assert done[-1]
        _valid(packet)


def make_pack(rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(40))
    fields: dict[Any, Any] = {
        "type": rng.choice((0, 1, 2, 2, 2, 3, 4, 5, -1, "2", None)),
        "nsp": rng.choice(("/", "/", "/", "/a?x", "x", "", 5, "/" + "n" * 80)),
        "data": rng.choice(
            ([rng.choice(WORDS), value(rng, rng.randrange(20), binary=True)], value(rng, 2), None)
        ),
    }
    if rng.random() < 0.5:
        fields["id"] = rng.choice((0, 5, -1, 2**60, "1", 1.5))
    if rng.random() < 0.1:
        fields["options"] = {"compress": True}
    if rng.random() < 0.1:
        fields["data"] = [
            "e",
            msgpack.ExtType(rng.choice((0, 1, 127)), rng.randbytes(rng.choice((1, 4, 8, 12)))),
        ]
    if rng.random() < 0.05:
        fields["data"] = ["e", {rng.choice((1, None, b"k")): 1}]
    data = bytearray(msgpack.packb(fields))
    if rng.random() < 0.3:
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _extension(code: int, data: bytes) -> msgpack.ExtType | None:
    """The JavaScript packer's `undefined` is null; any other extension must differ from whatever we
    decoded."""
    return None if code == 0 and len(data) == 1 else msgpack.ExtType(code, data)


def check_pack(blob: bytes) -> None:
    try:
        packet = decode_pack(blob, LIMITS)
    except BadPacket:
        return
    _valid(packet)
    reference = msgpack.unpackb(blob, ext_hook=_extension, strict_map_key=False)
    assert reference.get("type") == packet.kind
    assert reference["nsp"].partition("?")[0] == packet.namespace
    assert reference.get("id") == packet.ack_id
    assert reference.get("data") == packet.data


def make_event(rng: random.Random) -> tuple[str, Any, str | None]:
    body = {rng.choice(WORDS): value(rng, 4) for _ in range(3)}
    return rng.choice(WORDS), body, rng.choice((None, "epoch:12"))


def check_event(event: tuple[str, Any, str | None]) -> None:
    """What we send, as the reference libraries read it, on every transport and parser."""
    name, body, position = event
    frames = Frames(name, body, position)
    expected = [name, body] if position is None else [name, body, position]
    (from_json,) = Payload(encoded_payload=frames.polling(False).decode()).packets
    assert Packet(encoded_packet=from_json.data).data == expected
    (from_pack,) = Payload(encoded_payload=frames.polling(True).decode()).packets
    assert msgpack.unpackb(from_pack.data) == {"type": EVENT, "nsp": "/", "data": expected}


TARGETS = [
    Target("socketio-text", make_text, check_text),
    Target("socketio-msgpack", make_pack, check_pack),
    Target("socketio-events", make_event, check_event),
]
