"""RTP on raw bytes: a view of an incoming header, its extensions, RED, and the tails of outgoing packets.

Nothing here raises on bytes from the network: what is malformed is None. An outgoing packet is twelve
bytes of header, which differ per listener, and a *tail* (extension block and payload), which is the same
for everyone with the same extension ids; so a tail is built once per incoming packet and shape.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER = struct.Struct("!BBHII")
HEADER_BYTES = 12
VERSION_BITS = 0x80
EXTENSION_BIT = 0x10
PADDING_BIT = 0x20
MARKER_BIT = 0x80
ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
MASK_16 = 0xFFFF
MASK_32 = 0xFFFFFFFF

_WORDS = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet without its padding."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    extensions: dict[int, bytes]
    payload: bytes


def parse(data: bytes) -> Packet | None:
    """The packet, or None for anything malformed."""
    if len(data) < HEADER_BYTES or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    position, end = HEADER_BYTES + 4 * (first & 15), len(data)
    extensions: dict[int, bytes] | None = {}
    if first & EXTENSION_BIT:
        if position + 4 > end:
            return None
        profile, words = _WORDS.unpack_from(data, position)
        start, position = position + 4, position + 4 + 4 * words
        if position > end:
            return None
        extensions = parse_extensions(profile, data[start:position])
    if first & PADDING_BIT:
        if position >= end or not 0 < data[end - 1] <= end - position:
            return None
        end -= data[end - 1]
    if position > end or extensions is None:
        return None
    return Packet(
        bool(second & MARKER_BIT), second & 127, sequence, timestamp, ssrc, extensions, data[position:end]
    )


def parse_extensions(profile: int, block: bytes) -> dict[int, bytes] | None:
    """Elements by id (RFC 8285, both forms). Other profiles have none; a cut element is malformed."""
    if profile == ONE_BYTE_PROFILE:
        return _one_byte(block)
    if profile & 0xFFF0 == TWO_BYTE_PROFILE:
        return _two_byte(block)
    return {}


def _one_byte(block: bytes) -> dict[int, bytes] | None:
    found: dict[int, bytes] = {}
    position, end = 0, len(block)
    while position < end:
        head = block[position]
        position += 1
        if head == 0:
            continue
        if head >> 4 == 15:
            break
        size = (head & 15) + 1
        if position + size > end:
            return None
        found[head >> 4] = block[position : position + size]
        position += size
    return found


def _two_byte(block: bytes) -> dict[int, bytes] | None:
    found: dict[int, bytes] = {}
    position, end = 0, len(block)
    while position < end:
        ident = block[position]
        position += 1
        if ident == 0:
            continue
        if position == end or position + 1 + block[position] > end:
            return None
        size = block[position]
        found[ident] = block[position + 1 : position + 1 + size]
        position += 1 + size
    return found


def extension_block(elements: list[tuple[int, bytes]]) -> bytes:
    """The extension with its header; empty for no elements. Ids above 14 or long values take the other
    form."""
    if not elements:
        return b""
    if all(0 < ident < 15 and 0 < len(value) <= 16 for ident, value in elements):
        profile = ONE_BYTE_PROFILE
        body = b"".join(bytes([ident << 4 | len(value) - 1]) + value for ident, value in elements)
    else:
        profile = TWO_BYTE_PROFILE
        body = b"".join(bytes([ident, len(value)]) + value for ident, value in elements)
    body += bytes(-len(body) % 4)
    return _WORDS.pack(profile, len(body) // 4) + body


def build(packet: Packet) -> bytes:
    """The bytes of a packet: what a client of ours would send (load generators, tests, silence)."""
    block = extension_block(sorted(packet.extensions.items()))
    first = VERSION_BITS | (EXTENSION_BIT if block else 0)
    second = (MARKER_BIT if packet.marker else 0) | packet.payload_type
    header = HEADER.pack(first, second, packet.sequence & MASK_16, packet.timestamp & MASK_32, packet.ssrc)
    return header + block + packet.payload


def extend(highest: int, sequence: int) -> int:
    """The full index of a 16-bit sequence number, nearest to the highest index seen."""
    return highest + ((sequence - highest + 0x8000) & MASK_16) - 0x8000


def is_rtcp(data: bytes) -> bool:
    """RFC 5761: the second byte tells RTCP from RTP."""
    return len(data) > 1 and 192 <= data[1] < 224


def red_blocks(payload: bytes) -> list[tuple[int, int, bytes]] | None:
    """RFC 2198: (payload type, timestamp offset, data) of each block, the primary last; None: malformed."""
    heads: list[tuple[int, int, int]] = []
    position, end = 0, len(payload)
    while position < end and payload[position] & 0x80:
        if position + 4 > end:
            return None
        word = int.from_bytes(payload[position : position + 4], "big")
        heads.append((word >> 24 & 127, word >> 10 & 0x3FFF, word & 0x3FF))
        position += 4
    if position >= end:
        return None
    primary = payload[position] & 127
    position += 1
    blocks: list[tuple[int, int, bytes]] = []
    for kind, offset, size in heads:
        if position + size > end:
            return None
        blocks.append((kind, offset, payload[position : position + size]))
        position += size
    blocks.append((primary, 0, payload[position:]))
    return blocks


def red_payload(blocks: list[tuple[int, int, bytes]], payload_type: int) -> bytes:
    """The blocks as RED again, every one with the payload type of its receiver."""
    heads = [
        (1 << 31 | payload_type << 24 | offset << 10 | len(data)).to_bytes(4, "big")
        for _, offset, data in blocks[:-1]
    ]
    return b"".join(heads) + bytes([payload_type]) + b"".join(data for _, _, data in blocks)
