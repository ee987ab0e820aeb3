"""The framing of the load clients: any cut of the bytes gives the same messages; both parsers agree."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clients import frames
from loadtests.clients.conversation import Conversation
from loadtests.clients.packets import PARSERS, Kind, Packet

PAYLOADS = st.lists(
    st.one_of(st.binary(max_size=200), st.binary(min_size=126, max_size=300), st.just(b"x" * 70_000)),
    max_size=6,
)


def server_frame(opcode: int, payload: bytes, final: bool = True) -> bytes:
    first, length = (0x80 if final else 0) | opcode, len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 65536:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload


@given(PAYLOADS, st.randoms(use_true_random=False))
def test_any_cut_of_the_stream_gives_the_same_messages(payloads: list[bytes], chance: random.Random) -> None:
    stream = b"".join(server_frame(frames.BINARY, payload) for payload in payloads)
    reader, found = frames.FrameReader(), []
    while stream:
        size = chance.randint(1, max(1, min(len(stream), 5000)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == [(frames.BINARY, payload) for payload in payloads]


def test_fragments_become_one_message_and_control_frames_pass_between() -> None:
    reader = frames.FrameReader()
    stream = server_frame(frames.TEXT, b"one ", final=False) + server_frame(frames.PING, b"p")
    stream += server_frame(frames.CONTINUATION, b"two")
    assert reader.feed(stream) == [(frames.PING, b"p"), (frames.TEXT, b"one two")]


@pytest.mark.parametrize("first", [0xC1, 0x91])
def test_reserved_bits_are_an_error(first: int) -> None:
    with pytest.raises(frames.ProtocolError):
        frames.FrameReader().feed(bytes((first, 0)))


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_a_frame_is_masked_as_the_standard_says(payload: bytes, mask: bytes) -> None:
    framed = frames.frame(frames.TEXT, payload, mask)
    start = 2 if len(payload) < 126 else 4
    assert framed[1] & 0x80
    assert framed[start : start + 4] == mask
    body = framed[start + 4 :]
    assert bytes(byte ^ mask[index % 4] for index, byte in enumerate(body)) == payload


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "packet",
    [
        Packet(Kind.CONNECT, {"token": "t"}),
        Packet(Kind.EVENT, ["chat:send", {"text": "héllo", "n": [1, None, True]}], 12),
        Packet(Kind.EVENT, ["room:leave", {}]),
        Packet(Kind.ACK, [{"ok": True}], 0),
        Packet(Kind.DISCONNECT),
    ],
)
def test_a_packet_comes_back_as_it_went(name: str, packet: Packet) -> None:
    assert PARSERS[name].decode(PARSERS[name].encode(packet)) == packet


class Listener:
    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def on_connected(self, recovered: bool) -> None:
        self.said.append(("connected", recovered))

    def on_refused(self, data: Any) -> None:
        self.said.append(("refused", data))

    def on_event(self, name: str, body: Any, position: str | None) -> None:
        self.said.append(("event", name, body, position))

    def on_ack(self, number: int, body: Any) -> None:
        self.said.append(("ack", number, body))

    def on_closed(self, reason: str) -> None:
        self.said.append(("closed", reason))

    def on_probed(self) -> None:
        self.said.append(("probed",))


def opened(listener: Listener, conversation: Conversation) -> bytes:
    """The connection up to the CONNECT packet. -> what the client wrote last, unmasked by a zero mask"""
    conversation.mask = bytes(4)
    conversation.begin({"token": "t"})
    assert conversation.take().startswith(b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n")
    conversation.receive(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + server_frame(1, b'0{"sid":"engine"}'))
    return conversation.take()


def test_a_lost_connection_comes_back_with_its_offset_and_is_told_recovered() -> None:
    listener = Listener()
    conversation = Conversation(listener, "host:1")
    assert b'40{"token":"t"}' in opened(listener, conversation)
    conversation.receive(server_frame(1, b'40{"sid":"s","pid":"P"}'))
    conversation.receive(server_frame(1, b'42["chat:message",{"seq":1},"e:1"]'))
    conversation.receive(server_frame(1, b'42["audio:levels",{"levels":[]}]'))
    conversation.lost("cut")
    assert b'40{"pid":"P","offset":"e:1","token":"t"}' in opened(listener, conversation)
    conversation.receive(server_frame(1, b'40{"sid":"s","pid":"P"}'))
    assert listener.said == [
        ("connected", False),
        ("event", "chat:message", {"seq": 1}, "e:1"),
        ("event", "audio:levels", {"levels": []}, None),
        ("closed", "cut"),
        ("connected", True),
    ]


def test_a_ping_is_answered_and_an_ack_finds_its_number() -> None:
    listener = Listener()
    conversation = Conversation(listener, "host:1")
    opened(listener, conversation)
    conversation.receive(server_frame(1, b'40{"sid":"s"}') + server_frame(1, b"2"))
    assert conversation.take().endswith(b"3")
    number = conversation.command("sys:time", {"t0": 1})
    conversation.receive(server_frame(1, b'43%d[{"ok":true}]' % number))
    assert listener.said[-1] == ("ack", number, {"ok": True})


def test_a_refused_upgrade_names_the_status() -> None:
    listener = Listener()
    conversation = Conversation(listener, "host:1")
    conversation.begin({})
    conversation.receive(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n")
    assert listener.said == [("closed", "HTTP/1.1 429 Too Many Requests")]


@pytest.mark.parametrize(("parser", "coded"), [("json", b"40{"), ("msgpack", b"b")])
def test_by_polling_packets_travel_as_payloads_until_the_probe_has_passed(parser: str, coded: bytes) -> None:
    listener = Listener()
    conversation = Conversation(listener, "host:1", parser)
    conversation.mask = bytes(4)
    conversation.begin({"token": "t"}, polls=True)
    assert conversation.path("polling").endswith("transport=polling")
    conversation.receive_payload(b'0{"sid":"engine"}')
    assert conversation.path("polling").endswith("sid=engine")
    assert conversation.take_payload().startswith(coded)
    conversation.probe()
    assert b"transport=websocket&sid=engine HTTP/1.1" in conversation.take()
    conversation.receive(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    assert conversation.take().endswith(b"2probe")
    conversation.command("sys:time", {"t0": 1})
    conversation.receive_payload(b"2\x1e6")
    assert conversation.take() == b""
    assert len(conversation.take_payload().split(b"\x1e")) == 2
    conversation.receive(server_frame(1, b"3probe"))
    assert listener.said == [("probed",)]
    conversation.switch()
    conversation.command("sys:time", {"t0": 2})
    assert conversation.take().startswith(frames.frame(frames.TEXT, b"5", bytes(4)))
