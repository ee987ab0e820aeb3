"""RFC 4571 framing: RTP, DTLS and STUN over a stream connection (ICE-TCP), each with two bytes of length."""

from __future__ import annotations

FRAME_BYTES = 1500


class BadFrame(ValueError):
    """A length that no packet of ours or theirs can have; the connection is of no use any more."""


class Framer:
    """Cuts what comes in into frames."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._kept += data
        frames = []
        position = 0
        while position + 2 <= len(self._kept):
            size = int.from_bytes(self._kept[position : position + 2], "big")
            if not 0 < size <= FRAME_BYTES:
                raise BadFrame(f"a frame of {size} bytes")
            if position + 2 + size > len(self._kept):
                break
            frames.append(bytes(self._kept[position + 2 : position + 2 + size]))
            position += 2 + size
        del self._kept[:position]
        return frames


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
