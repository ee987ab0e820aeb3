"""Our WebSocket reader against aiohttp's compiled one: the same streams in the same cuts.

Both must give the same messages and call the same streams illegal, with the same close code. Where we are
stricter on purpose, ours alone may refuse: masks are required, a message may not start inside another one
(aiohttp misses that when the first fragment is empty), and close codes end at 4999.
"""

import itertools
import random
from dataclasses import dataclass, field
from typing import Any

from aiohttp._websocket.reader_c import WebSocketDataQueue, WebSocketReader

from realtime.engine import framing
from realtime.engine.parser import FrameError, FrameReader, close_code, text
from tests.fuzz.registry import Target

LIMIT = 70_000
STRICTER = ("frame without a mask", "message inside a fragmented message", "bad close code")
SIZES = (0, 1, 5, 20, 60, 124, 125, 126, 127, 300, 65_535, 65_536, LIMIT, LIMIT + 1)


@dataclass
class Stream:
    chunks: list[bytes] = field(default_factory=list)


def masked_frame(rng: random.Random, first: int, body: bytes) -> bytes:
    size = len(body)
    key = rng.randbytes(4) if size < 1000 else bytes(4)  # masking the few large ones here would take the time
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65_536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    if size < 1000:
        body = bytes(byte ^ key[index & 3] for index, byte in enumerate(body))
    return head + key + body


def _body(rng: random.Random) -> bytes:
    size = rng.choice(SIZES) if rng.random() < 0.05 else rng.randrange(80)
    if size > 1000:
        return b"a" * size
    return rng.choice((b"plain ", "grüße 日本 ".encode(), "\U0001f600".encode()))[: size or None] * (
        size // 8
    )


def _legal_frame(rng: random.Random, inside: bool) -> tuple[bytes, bool]:
    kind = rng.random()
    if kind < 0.15:
        return masked_frame(rng, 0x80 | rng.choice((9, 10)), _body(rng)[:125]), inside
    final = rng.random() < 0.6
    opcode = 0 if inside else rng.choice((1, 2))
    return masked_frame(rng, (0x80 if final else 0) | opcode, _body(rng)), not final


def _any_frame(rng: random.Random) -> bytes:
    body = rng.choice(
        (_body(rng)[:200], rng.randbytes(rng.randrange(20)), b"\xff\xfe", b"\xc3", b"\xed\xa0\x80")
    )
    first = rng.randrange(256) if rng.random() < 0.5 else 0x80 | rng.choice((0, 1, 2, 8, 8, 8, 9))
    if first & 15 == 8:
        body = rng.choice((b"", b"\x03", rng.randbytes(2), b"\x03\xe8", b"\x03\xe8\xff", b"\x0b\xb8ok"))
    return masked_frame(rng, first, body)


def make(rng: random.Random) -> Stream:
    if rng.random() < 0.1:
        data = rng.randbytes(rng.randrange(1, 60))
    else:
        data, inside, wild = b"", False, rng.choice((0.0, 0.0, 0.2))
        for _ in range(rng.randrange(1, 9)):
            if rng.random() < wild:
                data += _any_frame(rng)
            else:
                frame, inside = _legal_frame(rng, inside)
                data += frame
        if rng.random() < 0.2:
            spoiled = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                spoiled[rng.randrange(min(len(spoiled), 40))] ^= 1 << rng.randrange(8)
            data = bytes(spoiled)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3, 10))))
    if rng.random() < 0.1:
        cuts = list(range(1, min(len(data), 300)))
    edges = [0, *cuts, len(data)]
    return Stream([data[start:stop] for start, stop in itertools.pairwise(edges) if start < stop])


class _Queue(WebSocketDataQueue):
    """Keeps what the compiled reader hands out."""

    def __init__(self) -> None:
        super().__init__(_Reading(), 1 << 30, loop=None)
        self.messages: list[tuple[int, Any]] = []
        self.error: Any = None

    def feed_data(self, message: Any, _size: int) -> None:
        self.messages.append((int(message[0]), message[1]))

    def set_exception(self, error: Any, _cause: object = None) -> None:
        self.error = error


class _Reading:
    """The little that the queue asks of a protocol."""

    _reading_paused = False


def _theirs(stream: Stream) -> tuple[list[tuple[int, Any]], int]:
    queue = _Queue()
    reader = WebSocketReader(queue, LIMIT + 1, False, True)
    for chunk in stream.chunks:
        reader.feed_data(chunk)
        if queue.error is not None:
            break
    messages = []
    for kind, value in queue.messages:
        messages.append((kind, value if isinstance(value, str | int) else bytes(value)))
        if kind == framing.CLOSE:
            return messages, 0
    return messages, getattr(queue.error, "code", 0)


def _ours(stream: Stream) -> tuple[list[tuple[int, Any]], int, str]:
    reader = FrameReader(LIMIT, fragment_limit=10_000, control_limit=10_000)
    messages: list[tuple[int, Any]] = []
    try:
        for chunk in stream.chunks:
            reader.feed(chunk)
            while (message := reader.next()) is not None:
                opcode, body = message
                if opcode == framing.CLOSE:
                    code = close_code(body)
                    return [*messages, (opcode, code if body else 0)], 0, ""
                messages.append((opcode, text(body) if opcode == framing.TEXT else body))
    except FrameError as error:
        return messages, error.code, str(error)
    return messages, 0, ""


def check(stream: Stream) -> None:
    messages, code, reason = _ours(stream)
    other_messages, other_code = _theirs(stream)
    if reason in STRICTER:
        assert other_messages[: len(messages)] == messages
        return
    assert messages == other_messages, (messages, other_messages)
    assert code == other_code, (code, reason, other_code)


TARGETS = [Target("websocket-frames", make, check)]
