"""Continuous numbers over changing sources: the rule that keeps jitter buffers calm and SRTP indexes unique.

A listener must not notice that its stream has another source, or that the source was silenced for a while. So
sequence numbers go on without a gap, while timestamps go on with real time (measured against the alternatives
in Chromium: any other choice is heard or makes the buffer grow). A packet older than the last change is
refused, because its number already belongs to another packet.
"""

from __future__ import annotations

from sfu.engine import CLOCK_RATE, FRAME_TICKS

FRAMES_PER_SECOND = CLOCK_RATE // FRAME_TICKS
MASK_32 = 0xFFFFFFFF


class Rewrite:
    """Maps indexes and timestamps of a source onto one outgoing stream. Indexes are full, never 16 bits."""

    __slots__ = (
        "base",
        "last_at",
        "last_index",
        "last_timestamp",
        "offset",
        "synced",
        "timeline",
        "timestamp_offset",
    )

    def __init__(self, first_index: int, first_timestamp: int) -> None:
        self.last_index = first_index - 1
        self.last_timestamp = first_timestamp
        self.last_at: float | None = None
        self.timeline: object = None
        self.synced = False
        self.base = self.offset = self.timestamp_offset = 0

    def sync(self, index: int, timestamp: int, now: float, timeline: object) -> None:
        """From this packet on, the source's numbers are ours plus a constant."""
        self.base, self.offset = index, self.last_index + 1 - index
        if self.last_at is None:
            self.timestamp_offset = self.last_timestamp - timestamp
        elif self.timeline is not timeline:
            frames = max(1, round((now - self.last_at) * FRAMES_PER_SECOND))
            self.timestamp_offset = self.last_timestamp + frames * FRAME_TICKS - timestamp
        elif not 0 < (timestamp + self.timestamp_offset - self.last_timestamp) & MASK_32 < 1 << 31:
            # Silence of our own went ahead of the source's clock.
            self.timestamp_offset = self.last_timestamp + FRAME_TICKS - timestamp
        self.timeline, self.synced = timeline, True

    def advance(self, index: int, timestamp: int, now: float) -> None:
        """Remember the newest outgoing packet."""
        if index > self.last_index or self.last_at is None:
            self.last_index, self.last_timestamp, self.last_at = index, timestamp & MASK_32, now
