"""The packets' way through the Python engine: producer, slot, consumer, and the fan-out between them.

Numbers pass through at most three rewrites, each the same rule (`sfu.continuity`): a producer takes out
what was refused, a slot joins its occupants, a consumer joins its sources. A consumer in the middle of a
source is plain addition, so nothing is counted per packet and listener: its figures follow from those of
its source, and are settled when it stops listening.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pylibsrtp import Session

from sfu.continuity import Rewrite
from sfu.egress import Egress
from sfu.engine import FRAME_TICKS as FRAME
from sfu.engine import (
    PREROLL_SECONDS,
    RETRANSMIT_PACKETS,
    SILENCE_FRAMES,
    SILENCE_PAYLOAD,
    UNKNOWN_LEVEL,
    VOICE_LEVEL,
    Address,
    ConsumerSpec,
    Handle,
    ProducerSpec,
)
from sfu.reception import Reception
from sfu.rtp import (
    EXTENSION_BIT,
    HEADER,
    HEADER_BYTES,
    MARKER_BIT,
    MASK_16,
    MASK_32,
    VERSION_BITS,
    extension_block,
    red_payload,
)
from sfu.srtp import handle, memory, protect_in_place
from sfu.wanted import Wanted

FIRST_STREAM_INDEX = 0x10000
PREROLL_PACKETS = 9
"""PREROLL_SECONDS of 20 ms frames, and the one that is under way."""


@dataclass(slots=True)
class Frame:
    """One packet on its way: its numbers are those of the stream it is in."""

    marker: bool
    index: int
    timestamp: int
    payload: bytes
    level: int
    """The level byte as it arrived, with its voice bit."""
    at: float
    voice: Producer
    """Whose it is, through whatever slots it comes."""
    red: list[tuple[int, int, bytes]] | None = None

    def moved(self, index: int, timestamp: int, marker: bool) -> Frame:
        return Frame(marker, index, timestamp, self.payload, self.level, self.at, self.voice, self.red)


@dataclass(frozen=True, slots=True)
class Shape:
    """What makes two listeners' tails equal."""

    level_id: int
    mid_id: int
    mid: bytes
    payload_type: int
    red_payload_type: int

    def tail(self, frame: Frame) -> bytes:
        elements = [(self.level_id, bytes([frame.level]))] if self.level_id else []
        if self.mid_id and self.mid:
            elements.append((self.mid_id, self.mid))
        payload = frame.payload
        if frame.red is not None and self.red_payload_type:
            payload = red_payload(frame.red, self.payload_type)
        return extension_block(elements) + payload


class Peer:
    """One transport, as the engine sees it."""

    def __init__(self, number: Handle) -> None:
        self.handle = number
        self.addresses: set[Address] = set()
        self.selected: Address | None = None
        self.name: Any = None
        """The selected address for the kernel; None for a stream connection."""
        self.keyed = False
        self.receiving: Session | None = None
        self.sending: Session | None = None
        self.protector: Any = None
        self.producers: dict[Handle, Producer] = {}
        self.consumers: dict[Handle, Consumer] = {}
        self.by_ssrc: dict[int, Producer] = {}
        self.listening: dict[int, Consumer] = {}
        self.packets_received = self.bytes_received = 0
        self.unprotect_failures = self.malformed = self.unknown_ssrc = 0

    @property
    def ready(self) -> bool:
        return self.keyed and self.selected is not None

    def keys(self, receiving: Session | None, sending: Session | None) -> None:
        self.receiving, self.sending, self.keyed = receiving, sending, True
        self.protector = handle(sending) if sending is not None else None


class Stream(Rewrite):
    """What a listener can follow. As a Rewrite, its last numbers are the newest it gave out."""

    __slots__ = ("consumers", "groups", "handle", "octets", "origin", "packets")

    def __init__(self, number: Handle) -> None:
        super().__init__(FIRST_STREAM_INDEX, 0)
        self.handle = number
        self.consumers: dict[Handle, Consumer] = {}
        self.groups: dict[Shape, list[Consumer]] | None = None
        """The active listeners by shape; None when something about them changed."""
        self.origin: Peer | None = None
        """Whose voice this is: its own transport never gets it."""
        self.packets = self.octets = 0

    def regroup(self) -> dict[Shape, list[Consumer]]:
        groups: dict[Shape, list[Consumer]] = {}
        for consumer in self.consumers.values():
            if consumer.paused or not consumer.peer.ready or consumer.peer is self.origin:
                consumer.settle()
                continue
            consumer.protector, consumer.name = consumer.peer.protector, consumer.peer.name
            groups.setdefault(consumer.shape, []).append(consumer)
        self.groups = groups
        return groups


class Producer(Stream):
    """A stream that arrives."""

    __slots__ = (
        "allowance",
        "allowance_at",
        "allowed",
        "heard",
        "loudest",
        "over_limit",
        "preroll",
        "reception",
        "refused",
        "slots",
        "spec",
        "ssrc",
        "total",
        "wanted",
    )

    def __init__(self, number: Handle, peer: Peer, spec: ProducerSpec) -> None:
        super().__init__(number)
        self.origin, self.spec, self.ssrc = peer, spec, spec.ssrc
        self.allowed = False
        self.reception, self.wanted = Reception(), Wanted()
        self.preroll: deque[Frame] = deque(maxlen=PREROLL_PACKETS)
        self.slots: list[Slot] = []
        self.allowance, self.allowance_at = float(spec.packets_per_second), 0.0
        self.heard = self.total = self.refused = self.over_limit = 0
        self.loudest = 127

    def restart(self, ssrc: int) -> None:
        """The sender's SSRC was learned, or changed: its numbers are new ones."""
        self.ssrc, self.reception, self.synced = ssrc, Reception(), False
        self.wanted.restart()

    def within_limit(self, now: float) -> bool:
        rate = self.spec.packets_per_second
        self.allowance = min(float(rate), self.allowance + (now - self.allowance_at) * rate)
        self.allowance_at = now
        if self.allowance < 1:
            self.over_limit += 1
            return False
        self.allowance -= 1
        return True

    def level_of(self, extensions: dict[int, bytes]) -> int:
        raw = extensions.get(self.spec.level_id)
        level = raw[0] if raw else UNKNOWN_LEVEL
        self.heard += 1
        self.total += level & 127
        self.loudest = min(self.loudest, level & 127)
        return level

    def frame(self, arrived: Frame) -> Frame | None:
        """The packet in the stream's own numbers; None when it is too late."""
        marker = arrived.marker
        if not self.synced:
            self.sync(arrived.index, arrived.timestamp, arrived.at, self.ssrc)
            marker = True
        elif arrived.index < self.base:
            return None
        frame = arrived.moved(
            arrived.index + self.offset, (arrived.timestamp + self.timestamp_offset) & MASK_32, marker
        )
        self.preroll.append(frame)
        return frame

    def silence(self, now: float) -> list[Frame]:
        """The stream ends here for a while: a few frames for the decoders to fade out with."""
        self.synced = False
        self.preroll.clear()
        self.wanted.restart()
        if self.last_at is None:
            return []
        index, timestamp = self.last_index, self.last_timestamp
        return [
            Frame(False, index + step, (timestamp + step * FRAME) & MASK_32, SILENCE_PAYLOAD, 127, now, self)
            for step in range(1, SILENCE_FRAMES + 1)
        ]

    def first_syllable(self, now: float) -> list[Frame]:
        """What was said just before the voice was noticed, in order."""
        frames = sorted((f for f in self.preroll if now - f.at <= PREROLL_SECONDS), key=lambda f: f.index)
        voiced = (number for number, frame in enumerate(frames) if frame.level & 127 <= VOICE_LEVEL)
        start = next(voiced, len(frames))
        return frames[start:]


class Slot(Stream):
    """A virtual producer: whoever is its occupant."""

    __slots__ = ("occupant",)

    def __init__(self, number: Handle) -> None:
        super().__init__(number)
        self.occupant: Producer | None = None

    def occupy(self, producer: Producer | None) -> None:
        if self.occupant is not None:
            self.occupant.slots.remove(self)
        if producer is not None:
            producer.slots.append(self)
        self.occupant, self.synced, self.groups = producer, False, None
        self.origin = producer.origin if producer else None

    def frame(self, frame: Frame) -> Frame | None:
        marker = frame.marker
        if not self.synced:
            self.sync(frame.index, frame.timestamp, frame.at, self.occupant)
            marker = True
        elif frame.index < self.base:
            return None
        return frame.moved(
            frame.index + self.offset, (frame.timestamp + self.timestamp_offset) & MASK_32, marker
        )


class Consumer(Rewrite):
    """A stream that leaves."""

    __slots__ = (
        "first_byte",
        "handle",
        "history",
        "jitter",
        "late",
        "lost",
        "lost_fraction",
        "name",
        "octets",
        "octets_mark",
        "packets",
        "packets_mark",
        "paused",
        "payload_type",
        "peer",
        "protector",
        "resent",
        "round_trip",
        "shape",
        "spec",
        "ssrc",
        "stream",
    )

    def __init__(self, number: Handle, peer: Peer, spec: ConsumerSpec) -> None:
        super().__init__(spec.first_sequence, spec.first_timestamp)
        self.handle, self.peer, self.spec, self.ssrc = number, peer, spec, spec.ssrc
        self.payload_type, self.paused = spec.payload_type, spec.paused
        self.shape = Shape(spec.level_id, spec.mid_id, spec.mid, spec.payload_type, spec.red_payload_type)
        extended = spec.level_id or (spec.mid_id and spec.mid)
        self.first_byte = VERSION_BITS | (EXTENSION_BIT if extended else 0)
        self.stream: Stream | None = None
        self.protector: Any = None
        self.name: Any = None
        self.history: dict[int, Kept] | None = {} if spec.nack else None
        self.packets = self.octets = self.late = self.lost = self.resent = 0
        self.packets_mark = self.octets_mark = 0
        self.lost_fraction = self.jitter = 0.0
        self.round_trip: float | None = None

    def attach(self, stream: Stream | None) -> None:
        if self.stream is not None:
            self.settle()
            del self.stream.consumers[self.handle]
            self.stream.groups = None
        if stream is not None:
            stream.consumers[self.handle] = self
            stream.groups = None
        self.stream = stream

    def join(self, frame: Frame) -> None:
        """The first packet after a change: from here on our numbers follow the source's."""
        stream = self.stream
        if stream is None:
            return
        self.sync(frame.index, frame.timestamp, frame.at, stream)
        # The source counts a packet before it is fanned out.
        self.packets_mark, self.octets_mark = stream.packets - 1, stream.octets - len(frame.payload)

    def settle(self) -> None:
        """Stop following by addition: take over what the source gave out meanwhile."""
        stream = self.stream
        if not self.synced or stream is None:
            return
        self.packets, self.octets = self.counts()
        self.synced = False
        if stream.last_at is not None and stream.last_index >= self.base:
            self.advance(
                stream.last_index + self.offset,
                (stream.last_timestamp + self.timestamp_offset) & MASK_32,
                stream.last_at,
            )

    def counts(self) -> tuple[int, int]:
        if not self.synced or self.stream is None:
            return self.packets, self.octets
        packets = self.packets + self.stream.packets - self.packets_mark
        return packets, self.octets + self.stream.octets - self.octets_mark

    def clock(self) -> tuple[int, float] | None:
        """The newest timestamp sent, and when."""
        if self.synced and self.stream is not None and self.stream.last_at is not None:
            return (self.stream.last_timestamp + self.timestamp_offset) & MASK_32, self.stream.last_at
        return None if self.last_at is None else (self.last_timestamp, self.last_at)


class Kept(NamedTuple):
    """A packet as it was sent, for NACK."""

    sequence: int
    data: bytes
    voice: Producer


class FanOut:
    """Gives a stream's packets to its listeners."""

    def __init__(self, egress: Egress, outbox: deque[tuple[bytes, Address]]) -> None:
        self._egress, self._outbox = egress, outbox
        self._length = memory.new("int *")
        self.forwarded = 0
        self.protect_failures = 0

    def emit(self, producer: Producer, frame: Frame) -> None:
        """To the listeners of a producer, and through its slots."""
        self._spread(producer, frame)
        for slot in producer.slots:
            self.through(slot, frame)

    def through(self, slot: Slot, frame: Frame) -> None:
        if (moved := slot.frame(frame)) is not None:
            self._spread(slot, moved)

    def replay(self, consumer: Consumer, frames: Iterable[Frame]) -> None:
        """A pre-roll for one listener."""
        stream = consumer.stream
        if stream is None or (stream.groups is None and not stream.regroup()):
            return
        if not any(consumer in group for group in (stream.groups or {}).values()):
            return
        for frame in frames:
            stream_packets, stream_octets = stream.packets, stream.octets
            self._group(frame, consumer.shape, [consumer], True)
            consumer.packets += 1
            consumer.octets += len(frame.payload)
            consumer.packets_mark, consumer.octets_mark = stream_packets, stream_octets

    def _spread(self, stream: Stream, frame: Frame) -> None:
        newest = frame.index > stream.last_index or stream.last_at is None
        stream.advance(frame.index, frame.timestamp, frame.at)
        stream.packets += 1
        stream.octets += len(frame.payload)
        groups = stream.groups
        if groups is None:
            groups = stream.regroup()
        for shape, consumers in groups.items():
            self._group(frame, shape, consumers, newest)

    def _group(self, frame: Frame, shape: Shape, consumers: list[Consumer], newest: bool) -> None:
        """The innermost loop: every name that it uses is local, because it runs for each listener."""
        egress, length, protect = self._egress, self._length, protect_in_place
        cells, size, count, pack_into = egress.cells, egress.size, egress.count, HEADER.pack_into
        index, timestamp, tail = frame.index, frame.timestamp, shape.tail(frame)
        red = frame.red is not None and shape.red_payload_type
        second = (MARKER_BIT if frame.marker else 0) | (red or shape.payload_type)
        end = HEADER_BYTES + len(tail)
        for consumer in consumers:
            marker = 0
            if not consumer.synced:
                if not newest:
                    continue
                consumer.join(frame)
                marker = MARKER_BIT
            elif not newest and index < consumer.base:
                consumer.late += 1
                continue
            if count == size:
                egress.count = count
                egress.flush()
                count = 0
            raw, view, vector, message = cells[count]
            sequence = (index + consumer.offset) & MASK_16
            moment = (timestamp + consumer.timestamp_offset) & MASK_32
            pack_into(view, 0, consumer.first_byte, second | marker, sequence, moment, consumer.ssrc)
            view[HEADER_BYTES:end] = tail
            length[0] = end
            if consumer.protector is not None and protect(consumer.protector, raw, length):
                self.protect_failures += 1
                continue
            if consumer.history is not None:
                kept = Kept(sequence, bytes(view[: length[0]]), frame.voice)
                consumer.history[sequence % RETRANSMIT_PACKETS] = kept
            if consumer.name is None:
                self._aside(consumer, bytes(view[: length[0]]))
                continue
            vector.iov_len = length[0]
            message.msg_name = consumer.name
            count += 1
        egress.count = count

    def _aside(self, consumer: Consumer, data: bytes) -> None:
        """A listener behind a stream connection: the worker has the connection."""
        if consumer.peer.selected is not None:
            self._outbox.append((data, consumer.peer.selected))
