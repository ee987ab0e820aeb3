"""RTCP of an audio forwarder: sender and receiver reports, CNAME, and reading what listeners report (RFC
3550).

Parsing never raises: a compound that is malformed is read up to the fault. Building is byte-exact and
takes the time as an argument.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SENDER_REPORT = 200
RECEIVER_REPORT = 201
DESCRIPTION = 202
GOODBYE = 203
FEEDBACK = 205
GENERIC_NACK = 1
NTP_EPOCH_SECONDS = 2_208_988_800
BLOCKS_PER_REPORT = 31
MAX_LOST = 0x7FFFFF

_HEAD = struct.Struct("!BBH")
_SENDER = struct.Struct("!IQIII")
_BLOCK = struct.Struct("!IIIIII")


@dataclass(frozen=True, slots=True)
class Block:
    """One reception report block."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int

    def encode(self) -> bytes:
        lost = max(-0x800000, min(self.lost, MAX_LOST)) & 0xFFFFFF
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost << 24 | lost,
            self.highest & 0xFFFFFFFF,
            min(self.jitter, 0xFFFFFFFF),
            self.last_report,
            min(self.delay, 0xFFFFFFFF),
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    ssrc: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Nack:
    ssrc: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Goodbye:
    ssrcs: tuple[int, ...]


Report = SenderReport | ReceiverReport | Nack | Goodbye


def ntp_time(wall_seconds: float) -> int:
    """The 64-bit NTP form of a Unix time."""
    return int((wall_seconds + NTP_EPOCH_SECONDS) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def middle(ntp: int) -> int:
    """The middle 32 bits, in which reports quote each other."""
    return ntp >> 16 & 0xFFFFFFFF


def parse(data: bytes) -> Iterator[Report]:
    """The reports of a compound packet; what is of no use here is passed over."""
    position, end = 0, len(data)
    while position + 4 <= end:
        first, kind, words = _HEAD.unpack_from(data, position)
        size = 4 + 4 * words
        if first >> 6 != 2 or position + size > end:
            return
        body = data[position + 4 : position + size]
        position += size
        if first & 0x20:
            padding = body[-1] if body else 0
            if not 0 < padding <= len(body):
                return
            body = body[:-padding]
        if (report := _report(kind, first & 31, body)) is not None:
            yield report


def _report(kind: int, count: int, body: bytes) -> Report | None:
    if kind == SENDER_REPORT and len(body) >= _SENDER.size:
        ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
        blocks = _blocks(body, _SENDER.size, count)
        return SenderReport(ssrc, ntp, timestamp, packets, octets, blocks)
    if kind == RECEIVER_REPORT and len(body) >= 4:
        return ReceiverReport(int.from_bytes(body[:4], "big"), _blocks(body, 4, count))
    if kind == FEEDBACK and count == GENERIC_NACK and len(body) >= 8:
        return Nack(int.from_bytes(body[4:8], "big"), _lost_sequences(body))
    if kind == GOODBYE and len(body) >= 4 * count:
        return Goodbye(tuple(int.from_bytes(body[4 * i : 4 * i + 4], "big") for i in range(count)))
    return None


def _blocks(body: bytes, start: int, count: int) -> tuple[Block, ...]:
    found = []
    for position in range(start, min(start + 24 * count, len(body) - 23), 24):
        ssrc, loss, highest, jitter, last_report, delay = _BLOCK.unpack_from(body, position)
        lost = (loss & 0xFFFFFF) - (0x1000000 if loss & 0x800000 else 0)
        found.append(Block(ssrc, loss >> 24, lost, highest, jitter, last_report, delay))
    return tuple(found)


def _lost_sequences(body: bytes) -> tuple[int, ...]:
    found = []
    for position in range(8, len(body) - 3, 4):
        packet, mask = struct.unpack_from("!HH", body, position)
        found.append(packet)
        found += [(packet + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1]
    return tuple(found)


def sender_report(report: SenderReport) -> bytes:
    head = _HEAD.pack(0x80 | len(report.blocks), SENDER_REPORT, 6 + 6 * len(report.blocks))
    fields = _SENDER.pack(
        report.ssrc,
        report.ntp,
        report.timestamp & 0xFFFFFFFF,
        report.packets & 0xFFFFFFFF,
        report.octets & 0xFFFFFFFF,
    )
    return head + fields + b"".join(block.encode() for block in report.blocks)


def receiver_report(ssrc: int, blocks: Sequence[Block]) -> bytes:
    kept = blocks[:BLOCKS_PER_REPORT]
    head = _HEAD.pack(0x80 | len(kept), RECEIVER_REPORT, 1 + 6 * len(kept))
    return head + ssrc.to_bytes(4, "big") + b"".join(block.encode() for block in kept)


def description(names: Sequence[tuple[int, bytes]]) -> bytes:
    """SDES with one CNAME per SSRC."""
    chunks = b""
    for ssrc, cname in names:
        chunk = ssrc.to_bytes(4, "big") + bytes([1, len(cname)]) + cname + b"\0"
        chunks += chunk + bytes(-len(chunk) % 4)
    return _HEAD.pack(0x80 | len(names), DESCRIPTION, len(chunks) // 4) + chunks


def nack(sender: int, media: int, sequences: Sequence[int]) -> bytes:
    """A generic NACK, one entry per sequence number."""
    entries = b"".join(struct.pack("!HH", sequence, 0) for sequence in sequences)
    head = _HEAD.pack(0x80 | GENERIC_NACK, FEEDBACK, 2 + len(sequences))
    return head + sender.to_bytes(4, "big") + media.to_bytes(4, "big") + entries
