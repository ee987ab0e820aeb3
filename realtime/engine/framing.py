"""WebSocket wire bytes: the one representation of everything a client is sent.

A packet is encoded and framed once. The resulting immutable `bytes` is written to any number of WebSocket
transports and can be joined with others into one write, since frames are self-delimiting. A polling client,
the rare case, gets the same bytes transcoded by `polling_parts`.
"""

import struct
from base64 import b64encode
from collections.abc import Iterator

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FINAL_BIT = 0x80
SEPARATOR = b"\x1e"

_head_16 = struct.Struct("!BBH").pack
_head_64 = struct.Struct("!BBQ").pack


def frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((FINAL_BIT | opcode, size)) + payload
    if size < 1 << 16:
        return _head_16(FINAL_BIT | opcode, 126, size) + payload
    return _head_64(FINAL_BIT | opcode, 127, size) + payload


def close_frame(code: int) -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big"))


def polling_parts(wire: bytes) -> Iterator[bytes]:
    """The Engine.IO polling form of each message in `wire`, which holds complete frames made by `frame`."""
    position, end = 0, len(wire)
    while position < end:
        opcode, size = wire[position] & 15, wire[position + 1]
        position += 2
        if size == 126:
            size = int.from_bytes(wire[position : position + 2], "big")
            position += 2
        elif size == 127:
            size = int.from_bytes(wire[position : position + 8], "big")
            position += 8
        payload = wire[position : position + size]
        position += size
        if opcode == TEXT:
            yield payload
        elif opcode == BINARY:
            yield b"b" + b64encode(payload)


def polling_payload(wires: list[bytes]) -> bytes:
    return SEPARATOR.join([part for wire in wires for part in polling_parts(wire)])
