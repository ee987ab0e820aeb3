"""What is a packet and what is not, for both parsers."""

from typing import Any

import msgpack
import pytest

from realtime.engine.limits import Limits
from realtime.engine.reasons import BadPacket
from realtime.socketio.packets import decode_pack, decode_text

LIMITS = Limits(attachments=2, depth=4, message_bytes=1000)
STRICT = Limits()


@pytest.mark.parametrize(
    ("text", "kind", "namespace", "ack_id", "data"),
    [
        ("0", 0, "/", None, None),
        ('0{"token":"t"}', 0, "/", None, {"token": "t"}),
        ("0/admin", 0, "/admin", None, None),
        ("0/admin,", 0, "/admin", None, None),
        ('0/admin?x=1,{"a":1}', 0, "/admin", None, {"a": 1}),
        ("1", 1, "/", None, None),
        ("1/admin,", 1, "/admin", None, None),
        ('2["e"]', 2, "/", None, ["e"]),
        ('213["e",1.5,null,"é"]', 2, "/", 13, ["e", 1.5, None, "é"]),
        ('2/admin,456["e"]', 2, "/admin", 456, ["e"]),
        ('2123456789012345["e"]', 2, "/", 123456789012345, ["e"]),
        ("312[]", 3, "/", 12, []),
        ('2["e",{"_placeholder":true,"num":5}]', 2, "/", None, ["e", {"_placeholder": True, "num": 5}]),
    ],
)
def test_text(text: str, kind: int, namespace: str, ack_id: int | None, data: Any) -> None:
    packet = decode_text(text, STRICT)
    assert (packet.kind, packet.namespace, packet.ack_id, packet.data) == (kind, namespace, ack_id, data)


BAD_TEXTS = {
    "empty": "",
    "letters": "abc",
    "unknown type": '7["e"]',
    "no payload": "2",
    "payload is an object": "2{}",
    "payload is a number": "25",
    "empty event": "2[]",
    "name is a number": "2[5]",
    "reserved connect": '2["connect",{},{}]',
    "reserved disconnect": '2["disconnect","x"]',
    "reserved disconnecting": '2["disconnecting"]',
    "reserved newListener": '2["newListener"]',
    "bad ack id": '2abc["e"]',
    "long ack id": '21234567890123456["e"]',
    "ack without id": '3["e"]',
    "ack with an object": "31{}",
    "connect with a list": "0[]",
    "connect with an ack id": "05{}",
    "disconnect with data": '1["x"]',
    "error from a client": '4{"message":"x"}',
    "broken JSON": '2["e",{]',
    "two values": '2["e"]["f"]',
    "NaN": '2["e",NaN]',
    "infinity": '2["e",1e999]',
    "control character": '2["e","\x01"]',
    "too deep": '2["e",[[[[[1]]]]]]',
    "very deep": '2["e",' + "[" * 100_000 + "]" * 100_000 + "]",
    "long namespace": "2/" + "n" * 64 + ',["e"]',
    "no attachments announced": '5["e"]',
    "zero attachments": '50-["e"]',
    "too many attachments": '53-["e"]',
    "ten digits of attachments": '59999999999-["e"]',
    "attachments of a plain event": '21-["e"]',
    "attachments of an object": "51-{}",
}


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text(text: str) -> None:
    with pytest.raises(BadPacket):
        decode_text(text, LIMITS)


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("\\ud83d", "\ufffd"),
        ("a\\uDE00b", "a\ufffdb"),
        ("\\ud83d\\ude00\\ud83d", "\U0001f600\ufffd"),
        ("\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        ("\\\\ud83d\\ud83d", "\\ud83d\ufffd"),
        ("\\\\\\ud83d", "\\\ufffd"),
        ("\\n\\ud83d\\t", "\n\ufffd\t"),
    ],
)
def test_half_an_emoji_is_replaced(escaped: str, text: str) -> None:
    assert decode_text(f'2["e","{escaped}"]', STRICT).data == ["e", text]


def test_depth_is_nesting_and_not_length() -> None:
    assert decode_text('2["e",[1],[2],[3],[4],{"a":[5]}]', LIMITS).data[-1] == {"a": [5]}


def test_product_takes_no_attachments() -> None:
    with pytest.raises(BadPacket):
        decode_text('51-["e",{"_placeholder":true,"num":0}]', STRICT)


def test_attachments() -> None:
    packet = decode_text('52-7["e",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]', LIMITS)
    assert packet.missing == 2
    assert not packet.attach(b"zero", LIMITS)
    assert packet.attach(b"one", LIMITS)
    assert (packet.kind, packet.ack_id, packet.data) == (2, 7, ["e", b"one", [b"zero"]])


@pytest.mark.parametrize(
    ("arguments", "blob"),
    [
        ('{"_placeholder":true,"num":1}', b"a"),
        ('{"_placeholder":true,"num":-1}', b"a"),
        ('{"_placeholder":true,"num":"0"}', b"a"),
        ('{"_placeholder":true,"num":true}', b"a"),
        ('{"_placeholder":true}', b"a"),
        ('{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}', b"a"),
        ("1", b"a"),
        ('{"_placeholder":true,"num":0}', b"a" * 1001),
    ],
)
def test_bad_attachments(arguments: str, blob: bytes) -> None:
    packet = decode_text(f'51-["e",{arguments}]', LIMITS)
    with pytest.raises(BadPacket):
        packet.attach(blob, LIMITS)


def test_reserved_name_with_attachments() -> None:
    packet = decode_text('51-["disconnect",{"_placeholder":true,"num":0}]', LIMITS)
    with pytest.raises(BadPacket):
        packet.attach(b"a", LIMITS)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": 0, "nsp": "/"}, (0, "/", None, None)),
        ({"type": 0, "nsp": "/", "data": {"token": "t"}}, (0, "/", None, {"token": "t"})),
        ({"type": 2, "nsp": "/a?x", "data": ["e", b"\x00"], "id": 3}, (2, "/a", 3, ["e", b"\x00"])),
        ({"type": 2, "nsp": "/", "data": ["e"], "options": {"compress": True}}, (2, "/", None, ["e"])),
        ({"type": 3, "nsp": "/", "data": [], "id": 0}, (3, "/", 0, [])),
        ({"type": 1, "nsp": "/"}, (1, "/", None, None)),
    ],
)
def test_pack(fields: dict[str, Any], expected: tuple[Any, ...]) -> None:
    packet = decode_pack(msgpack.packb(fields), STRICT)
    assert (packet.kind, packet.namespace, packet.ack_id, packet.data) == expected


def test_undefined_of_the_javascript_packer_is_null() -> None:
    blob = msgpack.packb({"type": 2, "nsp": "/", "data": ["e", msgpack.ExtType(0, b"\x00"), {"a": None}]})
    assert decode_pack(blob, STRICT).data == ["e", None, {"a": None}]


def event(data: Any, **more: Any) -> bytes:
    return bytes(msgpack.packb({"type": 2, "nsp": "/", "data": data, **more}))


BAD_PACKS = {
    "empty": b"",
    "garbage": b"\xc1",
    "not a map": msgpack.packb([1, 2]),
    "trailing bytes": event(["e"]) + b"\x00",
    "cut": event(["e", "abc"])[:-2],
    "no type": msgpack.packb({"nsp": "/", "data": ["e"]}),
    "binary type": event(["e"], type=5),
    "type is text": event(["e"], type="2"),
    "type is a boolean": event({"a": 1}, type=False),
    "no namespace": msgpack.packb({"type": 2, "data": ["e"]}),
    "namespace is no path": event(["e"], nsp="x"),
    "long namespace": event(["e"], nsp="/" + "n" * 64),
    "negative ack id": event(["e"], id=-1),
    "huge ack id": event(["e"], id=2**60),
    "fractional ack id": event(["e"], id=1.5),
    "data is a map": event({"0": "e"}),
    "reserved": event(["disconnect", "x"]),
    "too deep": event(["e", [[[[[1]]]]]]),
    "very deep": event(["e"])[:-3] + b"\x91" * 50_000 + b"\x90",
    "array of four billion": b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd\xff\xff\xff\xff",
    "number as a key": event(["e", {1: 2}]),
    "extension": event(["e", msgpack.ExtType(5, b"x" * 8)]),
    "timestamp": event(["e", msgpack.Timestamp(1, 2)]),
    "error from a client": event({"message": "x"}, type=4),
}


@pytest.mark.parametrize("blob", BAD_PACKS.values(), ids=BAD_PACKS)
def test_bad_pack(blob: bytes) -> None:
    with pytest.raises(BadPacket):
        decode_pack(blob, LIMITS)
