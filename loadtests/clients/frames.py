"""WebSocket (RFC 6455) as a client speaks it: the upgrade request, masked frames out, server frames in.

Only what a Socket.IO server sends is handled: no extensions are offered, so reserved bits are an error.
The reader keeps what is incomplete and never copies a payload twice.
"""

import base64

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MAXIMUM_HEAD_BYTES = 16 * 1024


class ProtocolError(Exception):
    """The server sent something that is not the protocol."""


def upgrade_request(host: str, path: str, nonce: bytes, origin: str | None = None) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(nonce).decode()}",
        "Sec-WebSocket-Version: 13",
        "User-Agent: flylive-load",
        *([f"Origin: {origin}"] if origin else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """One masked frame. `mask` is 4 bytes; the XOR runs on whole integers, which is quick in Python."""
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | opcode, 0x80 | length))
    elif length < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + length.to_bytes(8, "big")
    stretched = (mask * (length // 4 + 1))[:length]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
    return head + mask + mixed.to_bytes(length, "big")


class FrameReader:
    """Cuts the byte stream of a server into whole messages: (opcode, payload)."""

    def __init__(self) -> None:
        self.buffer = b""
        self.fragments: list[bytes] = []
        self.fragmented_opcode = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        data = self.buffer + data if self.buffer else data
        messages: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        while end - position >= 2:
            first, length = data[position], data[position + 1]
            if length & 0x80 or first & 0x70:
                raise ProtocolError("masked or reserved bits in a server frame")
            start = position + 2
            if length >= 126:
                extra = 2 if length == 126 else 8
                if end - start < extra:
                    break
                length = int.from_bytes(data[start : start + extra], "big")
                start += extra
            if end - start < length:
                break
            position = start + length
            self._accept(first, data[start:position], messages)
        self.buffer = data[position:]
        return messages

    def _accept(self, first: int, payload: bytes, messages: list[tuple[int, bytes]]) -> None:
        opcode, final = first & 0x0F, first & 0x80
        if opcode >= CLOSE or (final and opcode != CONTINUATION):
            messages.append((opcode, payload))
        elif opcode != CONTINUATION:
            self.fragmented_opcode, self.fragments = opcode, [payload]
        else:
            self.fragments.append(payload)
            if final:
                messages.append((self.fragmented_opcode, b"".join(self.fragments)))
                self.fragments = []
