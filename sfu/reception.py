"""What a receiver reports about a stream that arrives (RFC 3550, sections 6.4 and A.3, A.8)."""

from __future__ import annotations

from sfu.engine import CLOCK_RATE
from sfu.rtcp import Block, middle
from sfu.rtp import extend


class Reception:
    """Loss and jitter of one incoming stream; time is an argument."""

    __slots__ = (
        "_expected_before",
        "_received_before",
        "_report_at",
        "_report_ntp",
        "_transit",
        "base",
        "highest",
        "jitter",
        "received",
    )

    def __init__(self) -> None:
        self.base: int | None = None
        self.highest = 0
        self.received = 0
        self.jitter = 0.0
        self._transit: int | None = None
        self._expected_before = self._received_before = 0
        self._report_ntp = 0
        self._report_at = 0.0

    def packet(self, sequence: int, timestamp: int, now: float) -> int:
        """Count a packet and give its full index."""
        if self.base is None:
            # Far from zero, so that packets from before the first one still have positive indexes.
            self.base = self.highest = sequence + 0x10000
        index = extend(self.highest, sequence)
        if index > self.highest:
            self.highest = index
        self.received += 1
        transit = (int(now * CLOCK_RATE) - timestamp) & 0xFFFFFFFF
        if self._transit is not None:
            step = (transit - self._transit) & 0xFFFFFFFF
            self.jitter += (min(step, (1 << 32) - step) - self.jitter) / 16
        self._transit = transit
        return index

    @property
    def lost(self) -> int:
        return 0 if self.base is None else self.highest - self.base + 1 - self.received

    def sender_report(self, ntp: int, now: float) -> None:
        """The sender's report came: later blocks quote it, which gives the sender its round trip."""
        self._report_ntp, self._report_at = middle(ntp), now

    def block(self, ssrc: int, now: float) -> Block | None:
        """The report block since the last one; None before the first packet."""
        if self.base is None:
            return None
        expected = self.highest - self.base + 1
        expected_step = expected - self._expected_before
        received_step = self.received - self._received_before
        self._expected_before, self._received_before = expected, self.received
        gone = expected_step - received_step
        fraction = min(255, gone * 256 // expected_step) if gone > 0 and expected_step > 0 else 0
        delay = int((now - self._report_at) * 65536) if self._report_ntp else 0
        highest = self.highest - 0x10000
        return Block(
            ssrc, fraction, expected - self.received, highest, int(self.jitter), self._report_ntp, delay
        )
