"""RFC 6455, rule by rule: what an independent conformance run would send, and what must come back.

The server echoes. Each case runs whole, cut into pieces and byte by byte, since a parser's rules must not
depend on how the network cuts.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from realtime.engine import framing
from realtime.engine.framing import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from realtime.engine.limits import Limits
from realtime.engine.link import Link
from realtime.engine.session import Session
from realtime.engine.wheel import Wheel
from tests.realtime.wire import MemoryTransport, client_frame, server_frames

LIMIT = 200_000


class Echo:
    """As much of an engine as a link needs."""

    def __init__(self) -> None:
        self.limits = Limits(message_bytes=LIMIT, control_frames=20, fragments=20)
        self.wheel = Wheel(0.1)

    def received(self, link: Link, data: str | bytes) -> None:
        opcode, payload = (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)
        assert link.transport is not None
        link.transport.write(framing.frame(opcode, payload))

    def link_lost(self, link: Link, error: Exception | None) -> None:
        pass

    def broken(self, session: Session, code: int) -> None:
        raise AssertionError("there is no session here")


@dataclass(frozen=True)
class Rule:
    name: str
    sent: bytes
    expected: list[tuple[int, bytes]]
    close: int | None = None  # the code that must end it

    def outcome(self) -> list[tuple[int, bytes]]:
        end = [] if self.close is None else [(CLOSE, self.close.to_bytes(2, "big"))]
        return [*self.expected, *end]


def frame(opcode: int, payload: bytes = b"", **options: Any) -> bytes:
    return client_frame(opcode, payload, **options)


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


NORMAL = closing(1000)
SIZES = (0, 1, 124, 125, 126, 127, 128, 65_535, 65_536, LIMIT)
TEXT_OK = "κόσμε 日本 \U0001f600".encode()
FIRST = frame(TEXT, b"fragment1", final=False)
LAST = frame(CONTINUATION, b"fragment2")
JOINED = (TEXT, b"fragment1fragment2")

FRAMING = [
    *(Rule(f"text of {size}", frame(TEXT, b"*" * size), [(TEXT, b"*" * size)]) for size in SIZES),
    *(Rule(f"binary of {size}", frame(BINARY, b"\xfe" * size), [(BINARY, b"\xfe" * size)]) for size in SIZES),
    Rule("two messages in one read", frame(TEXT, b"a") + frame(TEXT, b"b"), [(TEXT, b"a"), (TEXT, b"b")]),
    Rule(
        "an unmasked frame is refused",
        frame(TEXT, b"a") + framing.frame(TEXT, b"plain"),
        [(TEXT, b"a")],
        1002,
    ),
    Rule("a message over the limit is refused", frame(BINARY, b"a" * (LIMIT + 1)), [], 1009),
    Rule("a length over any limit is refused by its head", b"\x82\xff" + b"\x7f" + b"\xff" * 7, [], 1009),
    Rule("a length with its first bit set is refused", b"\x82\xff" + b"\xff" * 8, [], 1009),
    Rule(
        "fragments over the limit are refused",
        frame(BINARY, b"a" * LIMIT, final=False) + frame(CONTINUATION, b"a"),
        [],
        1009,
    ),
]
CONTROL = [
    Rule("a ping without payload", frame(PING), [(PONG, b"")]),
    Rule("a ping with text", frame(PING, b"Hello"), [(PONG, b"Hello")]),
    Rule("a ping with bytes", frame(PING, bytes(range(125))), [(PONG, bytes(range(125)))]),
    Rule("a ping of 126 is refused", frame(PING, b"*" * 126), [], 1002),
    Rule("a pong nobody asked for", frame(PONG, b"x") + frame(PING, b"y"), [(PONG, b"y")]),
    Rule(
        "ten pings",
        b"".join(frame(PING, bytes([i])) for i in range(10)),
        [(PONG, bytes([i])) for i in range(10)],
    ),
    Rule("a flood of pings is refused", frame(PING) * 21, [(PONG, b"")] * 20, 1008),
    Rule("a fragmented ping is refused", frame(PING, b"a", final=False), [], 1002),
    Rule("a fragmented close is refused", frame(CLOSE, b"", final=False), [], 1002),
]
RESERVED = [
    Rule(
        f"reserved bits {bits:#x}, opcode {opcode}",
        frame(TEXT, b"a") + frame(opcode, b"x", reserved=bits),
        [(TEXT, b"a")],
        1002,
    )
    for bits in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70)
    for opcode in (TEXT, BINARY, PING, CLOSE)
]
OPCODES = [
    Rule(f"opcode {opcode} is refused", frame(TEXT, b"a") + frame(opcode, payload), [(TEXT, b"a")], 1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    for payload in (b"", b"reserved")
]
FRAGMENTS = [
    Rule("two fragments", FIRST + LAST, [JOINED]),
    Rule("a ping between fragments", FIRST + frame(PING, b"p") + LAST, [(PONG, b"p"), JOINED]),
    Rule("a pong between fragments", FIRST + frame(PONG, b"p") + LAST, [JOINED]),
    Rule(
        "empty fragments",
        frame(TEXT, final=False) + frame(CONTINUATION, final=False) + frame(CONTINUATION),
        [(TEXT, b"")],
    ),
    Rule("a continuation of nothing is refused", frame(CONTINUATION, b"x"), [], 1002),
    Rule(
        "an unfinished continuation of nothing is refused", frame(CONTINUATION, b"x", final=False), [], 1002
    ),
    Rule("a continuation after the end is refused", FIRST + LAST + LAST, [JOINED], 1002),
    Rule("text inside a fragmented message is refused", FIRST + frame(TEXT, b"x"), [], 1002),
    Rule("binary inside a fragmented message is refused", FIRST + frame(BINARY, b"x"), [], 1002),
    Rule(
        "text after an empty first fragment is refused",
        frame(TEXT, final=False) + frame(TEXT, b"x"),
        [],
        1002,
    ),
    Rule("two unfinished messages are refused", FIRST + FIRST, [], 1002),
    Rule(
        "binary fragments",
        frame(BINARY, b"\xff", final=False) + frame(CONTINUATION, b"\xfe"),
        [(BINARY, b"\xff\xfe")],
    ),
    Rule("a flood of fragments is refused", FIRST + frame(CONTINUATION, final=False) * 20, [], 1008),
    Rule(
        "a message between two fragmented ones",
        FIRST + LAST + frame(TEXT, b"m") + FIRST + LAST,
        [JOINED, (TEXT, b"m"), JOINED],
    ),
]
BAD_UTF8 = {
    "a lone continuation byte": b"\x80",
    "a cut sequence": b"\xce\xba\xe1\xbd",
    "an overlong slash": b"\xc0\xaf",
    "an overlong null": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "above the last code point": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "0xfe": b"\xfe",
    "0xff": b"\xff",
}
UTF8 = [
    Rule("valid UTF-8", frame(TEXT, TEXT_OK), [(TEXT, TEXT_OK)]),
    Rule(
        "a character across fragments",
        frame(TEXT, TEXT_OK[:1], final=False) + frame(CONTINUATION, TEXT_OK[1:]),
        [(TEXT, TEXT_OK)],
    ),
    Rule(
        "non-characters",
        frame(TEXT, "\ufffe\uffff\U0010ffff".encode()),
        [(TEXT, "\ufffe\uffff\U0010ffff".encode())],
    ),
    Rule("bad UTF-8 in binary is fine", frame(BINARY, b"\xff"), [(BINARY, b"\xff")]),
    *(Rule(f"refused: {name}", frame(TEXT, b"ok" + bad), [], 1007) for name, bad in BAD_UTF8.items()),
    *(
        Rule(f"refused over 126: {name}", frame(TEXT, b"k" * 200 + bad), [], 1007)
        for name, bad in BAD_UTF8.items()
    ),
    *(
        Rule(
            f"refused in fragments: {name}",
            frame(TEXT, b"ok", final=False) + frame(CONTINUATION, bad),
            [],
            1007,
        )
        for name, bad in BAD_UTF8.items()
    ),
]
CLOSING = [
    Rule("a close without a code", frame(CLOSE), [], 1000),
    Rule("a close with one byte is refused", frame(CLOSE, b"\x03"), [], 1002),
    Rule("a close with a reason", closing(1000, "Grüße".encode()), [], 1000),
    Rule("a close with 123 bytes of reason", closing(1000, b"*" * 123), [], 1000),
    Rule("a close with 124 bytes of reason is refused", closing(1000, b"*" * 124), [], 1002),
    Rule("a close with bad UTF-8 is refused", closing(1000, b"\xff"), [], 1007),
    Rule("nothing is heard after a close", NORMAL + frame(TEXT, b"late"), [], 1000),
    Rule("no pong after a close", NORMAL + frame(PING, b"late"), [], 1000),
    Rule("one answer to two closes", NORMAL + NORMAL, [], 1000),
    Rule("a close between fragments", FIRST + NORMAL + LAST, [], 1000),
    *(
        Rule(f"code {code}", closing(code), [], code)
        for code in (
            1000,
            1001,
            1002,
            1003,
            1007,
            1008,
            1009,
            1010,
            1011,
            1012,
            1013,
            1014,
            3000,
            3999,
            4000,
            4999,
        )
    ),
    *(
        Rule(f"code {code} is refused", closing(code), [], 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    ),
]
RULES = [*FRAMING, *CONTROL, *RESERVED, *OPCODES, *FRAGMENTS, *UTF8, *CLOSING]


async def converse(data: bytes, step: int) -> list[tuple[int, bytes]]:
    transport, link = MemoryTransport(), Link(Echo(), None)
    transport.set_protocol(link)
    link.connection_made(transport)
    for start in range(0, len(data), step):
        if transport.closing:
            break
        link.data_received(data[start : start + step])
    await asyncio.sleep(0)
    return server_frames(bytes(transport.written))


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
async def test_rule(rule: Rule) -> None:
    for step in (len(rule.sent), 997, 3, 1):
        if len(rule.sent) // step <= 5000:
            assert await converse(rule.sent, step) == rule.outcome(), f"in pieces of {step}"
