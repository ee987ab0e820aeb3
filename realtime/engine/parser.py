"""RFC 6455 frames from a client, without I/O: bytes in, whole messages and control frames out.

`feed` takes what the socket gave, `next` hands out one message at a time, so that a reader that is told to
stop (its consumer is behind) leaves the rest unparsed. Every broken rule raises `FrameError` with the close
code of the RFC; nothing of the stream is used after it. A frame that is too large is refused by its header,
before its body is waited for.
"""

from realtime.engine.framing import BINARY, CLOSE, CONTINUATION, FINAL_BIT, PONG, TEXT

NORMAL, GOING_AWAY, PROTOCOL_ERROR, BAD_DATA, POLICY, TOO_BIG, RESTART = (
    1000,
    1001,
    1002,
    1007,
    1008,
    1009,
    1012,
)
CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
CONTROL_BYTES = 125


class FrameError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def unmask(key: bytes | bytearray, body: bytes | bytearray) -> bytes:
    """XOR as one long number: for the sizes that occur nothing in pure Python is faster."""
    size = len(body)
    if not size:
        return b""
    mask = (key * ((size + 3) >> 2))[:size]
    return (int.from_bytes(body, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def close_code(payload: bytes) -> int:
    """The code of a close frame's payload, checked as the RFC wants it."""
    if not payload:
        return NORMAL
    if len(payload) == 1:
        raise FrameError(PROTOCOL_ERROR, "close frame of one byte")
    code = int.from_bytes(payload[:2], "big")
    if code not in CLOSE_CODES and not 3000 <= code < 5000:
        raise FrameError(PROTOCOL_ERROR, "bad close code")
    text(payload[2:])
    return code


def text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FrameError(BAD_DATA, "text is not UTF-8") from None


class FrameReader:
    __slots__ = (
        "_buffer",
        "_control_frames",
        "_message_opcode",
        "_message_size",
        "_offset",
        "_parts",
        "control_limit",
        "fragment_limit",
        "message_limit",
    )

    def __init__(self, message_limit: int, fragment_limit: int = 256, control_limit: int = 64) -> None:
        self.message_limit, self.fragment_limit = message_limit, fragment_limit
        self.control_limit = control_limit
        # bytes that were read and not handed out; a bytearray as soon as it has to grow, so that a large
        # frame in many small reads is not copied once per read
        self._buffer: bytes | bytearray = b""
        self._offset = 0
        self._parts: list[bytes] | None = None
        self._message_size = self._message_opcode = self._control_frames = 0

    @property
    def idle(self) -> bool:
        """Nothing is remembered: a new reader would do as well."""
        return not self._buffer and self._parts is None and not self._control_frames

    def feed(self, data: bytes) -> None:
        if not self._buffer:
            self._buffer, self._offset = data, 0
        elif isinstance(self._buffer, bytearray):
            self._buffer += data
        elif data:
            self._buffer, self._offset = bytearray(self._buffer[self._offset :] + data), 0

    def next(self) -> tuple[int, bytes] | None:
        """The next message (TEXT or BINARY, fragments joined) or control frame, or None until more is fed."""
        while (frame := self._frame()) is not None:
            opcode, final, body = frame
            if opcode >= CLOSE:
                self._control_frames += 1
                if self._control_frames > self.control_limit:
                    raise FrameError(POLICY, "too many control frames")
                return opcode, body
            if final and opcode != CONTINUATION and self._parts is None:
                self._control_frames = 0
                return opcode, body
            joined = self._fragment(opcode, final, body)
            if joined is not None:
                return joined
        return None

    def _fragment(self, opcode: int, final: bool, body: bytes) -> tuple[int, bytes] | None:
        if opcode != CONTINUATION:
            if self._parts is not None:
                raise FrameError(PROTOCOL_ERROR, "message inside a fragmented message")
            self._parts, self._message_opcode = [], opcode
        elif self._parts is None:
            raise FrameError(PROTOCOL_ERROR, "continuation of nothing")
        self._parts.append(body)
        self._message_size += len(body)
        if not final:
            if len(self._parts) >= self.fragment_limit:
                raise FrameError(POLICY, "too many fragments")
            return None
        whole, opcode = b"".join(self._parts), self._message_opcode
        self._parts, self._message_size, self._control_frames = None, 0, 0
        return opcode, whole

    def _frame(self) -> tuple[int, bool, bytes] | None:
        buffer, start = self._buffer, self._offset
        end = len(buffer)
        if end - start < 2:
            self._wait()
            return None
        first, size = buffer[start], buffer[start + 1]
        opcode, body_start = first & 15, start + 2
        check_head(first, size)
        size &= 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            if end - body_start < width:
                self._wait()
                return None
            size = int.from_bytes(buffer[body_start : body_start + width], "big")
            body_start += width
        if opcode < CLOSE and size + self._message_size > self.message_limit:
            raise FrameError(TOO_BIG, "message too big")
        stop = body_start + 4 + size
        if end < stop:
            self._wait()
            return None
        body = unmask(buffer[body_start : body_start + 4], buffer[body_start + 4 : stop])
        self._offset = stop
        if stop == end:
            self._buffer, self._offset = b"", 0
        return opcode, bool(first & FINAL_BIT), body

    def _wait(self) -> None:
        """Keep only what is still needed, in a form that can grow."""
        if self._offset:
            self._buffer = bytes(self._buffer[self._offset :])
            self._offset = 0


def check_head(first: int, second: int) -> None:
    """What two bytes of a frame already tell."""
    opcode = first & 15
    if first & 0x70:
        raise FrameError(PROTOCOL_ERROR, "reserved bits")
    if not second & 0x80:
        raise FrameError(PROTOCOL_ERROR, "frame without a mask")
    if opcode >= CLOSE:
        if opcode > PONG or second & 0x7F > CONTROL_BYTES or not first & FINAL_BIT:
            raise FrameError(PROTOCOL_ERROR, "bad control frame")
    elif opcode not in (CONTINUATION, TEXT, BINARY):
        raise FrameError(PROTOCOL_ERROR, "unknown opcode")
