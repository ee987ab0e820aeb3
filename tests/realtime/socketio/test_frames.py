"""The bytes on the wire, as golden values."""

import msgpack
import pytest

from realtime.engine import framing
from realtime.socketio import frames
from realtime.socketio.frames import Frames


def test_event_as_json() -> None:
    made = Frames("seat:changed", {"room_id": "r", "seq": 7}, "e1:7")
    assert made.wire(False)[2:] == b'42["seat:changed",{"room_id":"r","seq":7},"e1:7"]'
    assert made.polling(False) == b'42["seat:changed",{"room_id":"r","seq":7},"e1:7"]'
    assert made.wire(False)[:2] == bytes((0x81, len(made.polling(False))))


def test_event_as_msgpack() -> None:
    made = Frames("e", {"n": 1})
    payload = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e\x81\xa1n\x01"
    assert made.wire(True) == bytes((0x82, len(payload))) + payload
    assert made.polling(True) == b"bg6R0eXBlAqNuc3ChL6RkYXRhkqFlgaFuAQ=="


def test_other_packets() -> None:
    assert frames.connect("s", None).polling(False) == b'40{"sid":"s"}'
    assert frames.connect("s", "p").polling(False) == b'40{"sid":"s","pid":"p"}'
    assert frames.disconnect().polling(False) == b"41"
    assert frames.disconnect("/a").polling(False) == b"41/a,"
    assert frames.refuse({"message": "no"}).polling(False) == b'44{"message":"no"}'
    assert frames.acknowledge(12, [{"ok": True}]).polling(False) == b'4312[{"ok":true}]'
    assert msgpack.unpackb(frames.acknowledge(12, []).wire(True)[2:]) == {
        "type": 3,
        "nsp": "/",
        "data": [],
        "id": 12,
    }


def test_bytes_become_attachments_for_json_clients_only() -> None:
    made = Frames.packet(2, ["e", b"\x01\x02"], binary=True)
    assert made.polling(False) == b'451-["e",{"_placeholder":true,"num":0}]\x1ebAQI='
    assert msgpack.unpackb(made.wire(True)[2:])["data"] == ["e", b"\x01\x02"]


def test_encoded_once() -> None:
    made = Frames("e", {})
    assert made.wire(False) is made.wire(False)
    assert made.wire(True) is made.wire(True)


def test_body_is_no_string() -> None:
    """A client with recovery would take a last string for its position."""
    with pytest.raises(TypeError):
        Frames("e", "text")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frame_sizes(size: int) -> None:
    wire = framing.frame(framing.TEXT, b"x" * size) + framing.frame(framing.BINARY, b"y")
    assert framing.polling_payload([wire]) == b"x" * size + b"\x1ebeQ=="
