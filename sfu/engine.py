"""The border between a media worker and the engine that carries its packets.

A worker decides (who is connected, who may speak, who is heard in which slot); an engine carries (decrypt,
rewrite, encrypt, send). One engine serves one UDP socket. There are two engines behind this interface: plain
Python (`sfu.python_engine`, always works) and an optional native module with a thread of its own
(`sfu.native`). One contract suite and one set of golden packets cover both (`tests/sfu/contract_engine.py`).

How it fits together:

- A *transport* is one peer: the addresses it may send from, the one address we send to, and its SRTP keys.
  The ICE part validates addresses and is the only one to add them. Media or DTLS from any other address is
  dropped and counted by the engine, so that a flood of foreign datagrams never reaches the worker.
- A *source* is what a listener can follow: a *producer* (a stream that arrives) or a *slot* (a virtual
  producer, whose occupant the worker changes). Changing the occupant costs the same for ten or ten thousand
  listeners: the slot carries the continuity, its listeners only add a constant.
- A *consumer* is one stream that leaves: own SSRC, payload type and extension ids, following one source.

Rules every engine keeps, for each consumer:

1. Sequence numbers grow by one per packet over changes of source, pauses and mutes; a loss on the way in
   stays a gap of the same size and late packets keep their place. A packet older than the last change of
   source or pause is dropped, because its number belongs to another packet: no SRTP index is used twice with
   one key.
2. Timestamps keep real time: over a change of source they advance by the time that passed (whole frames of
   20 ms, at least one); within one source they advance as the source does.
3. The marker bit is set on the first packet after a change or a pause.
4. Payload bytes are never changed, except that RED is stripped for those who did not negotiate it.
5. A consumer never gets a packet of its own transport.
6. A producer without the speaking right is dropped at ingress, after authentication and before anything else
   sees it: neither level nor pre-roll. Losing the right makes its listeners get SILENCE_FRAMES at once.
7. Nothing malformed raises out of `drain`; it is dropped and counted.

RTCP belongs to the engine: it answers with receiver reports for its producers (without them a sender has no
loss figure for its error correction), sends sender reports with a CNAME for each consumer, reads the reports
of the peers into the statistics, resends on NACK for consumers that negotiated it (the very same bytes, and
nothing of a voice that may not speak any more), and asks producers that negotiated it for what is missing.

Handles are small integers, never reused while the engine lives. Every call is made from the worker's thread;
an engine with its own thread does the locking.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Protocol

Address = tuple[str, int]
"""(numeric host, port). An IPv4 peer of a dual-stack socket has the mapped form "::ffff:192.0.2.1".
The host "" marks a stream connection (ICE-TCP) by its number: see `Engine.inject` and `Engine.drain`."""

Control = tuple[bytes, Address]

Handle = int

SILENCE_FRAMES = 3
"""Enough for a decoder to fade out, and for one of them to be lost."""
SILENCE_PAYLOAD = b"\xf8\xff\xfe"
"""One Opus frame of 20 ms of silence (CELT, fullband, mono)."""
FRAME_TICKS = 960
"""20 ms at the 48 kHz clock of Opus."""
CLOCK_RATE = 48_000

REPORT_INTERVAL_SECONDS = 2.0
"""Between receiver reports; sender reports go with them."""
PREROLL_SECONDS = 0.16
"""What a slot replays of its new occupant: detection needs a few frames, and those are the first syllable."""
RETRANSMIT_PACKETS = 64
"""Packets kept for NACK per consumer that negotiated it: 1.3 s, longer than any jitter buffer waits."""
WANTED_PACKETS = 32
"""A longer gap in a publisher's numbers is a jump, not a loss."""
ASKS = 4
ASK_AGAIN_SECONDS = 0.08
"""A missing packet of a publisher that negotiated NACK is asked for at once, and again after so long each:
what comes later than that is of no use to a jitter buffer."""
VOICE_LEVEL = 65
"""Louder than -65 dBov counts as speech; microphones at rest are at -70 to -90."""
UNKNOWN_LEVEL = 50
"""Assumed for a producer that did not negotiate the level extension: heard, but not before a real voice."""
MAX_PAYLOAD_BYTES = 1276
"""The largest Opus frame (RFC 6716); also below the 1356 that the SRTP library takes."""
LATENCY_BOUNDS_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.006, 0.01, 0.02, 0.05)
"""Upper bounds of the histogram of forward latency; one more bucket holds the rest."""


class Suite(StrEnum):
    """SRTP protection profiles, in order of preference, by their names in OpenSSL."""

    AEAD_AES_128_GCM = "SRTP_AEAD_AES_128_GCM"
    AEAD_AES_256_GCM = "SRTP_AEAD_AES_256_GCM"
    AES_CM_128_SHA1_80 = "SRTP_AES128_CM_SHA1_80"
    PLAIN = "PLAIN"
    """No protection: only for recording tools on the loopback interface."""

    @property
    def key_bytes(self) -> int:
        return {"AEAD_AES_256_GCM": 32, "PLAIN": 0}.get(self.name, 16)

    @property
    def salt_bytes(self) -> int:
        return {"AES_CM_128_SHA1_80": 14, "PLAIN": 0}.get(self.name, 12)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Settings of one engine."""

    batch_packets: int = 128
    """Datagrams read, and sent, by one system call."""
    hold_seconds: float = 0.005
    """What waiting for others to the same listener, so that they leave as one segmented send, and the sending
    itself may take together. The native engine waits under load only, and where it helps; the Python engine
    never does."""
    segmentation: bool = True
    """Use UDP segmentation offload where the kernel has it."""
    control_backlog: int = 4096
    """Control datagrams kept for the worker; what comes on top is dropped and counted."""


@dataclass(frozen=True, slots=True)
class ProducerSpec:
    """How to recognise and read a stream that arrives; ids are those of the sender."""

    payload_type: int
    ssrc: int | None = None
    """None: learned from the first packet with the right MID, or the right payload type if only one fits."""
    mid: bytes = b""
    mid_id: int = 0
    level_id: int = 0
    """Extension id of the RFC 6464 audio level, 0: not negotiated (UNKNOWN_LEVEL is assumed)."""
    red_payload_type: int = 0
    """Payload type of RFC 2198 redundancy, 0: not negotiated."""
    packets_per_second: int = 120
    """Bucket of the rate limit, also its burst: twice the rate of 20 ms frames, and some."""
    payload_bytes: int = MAX_PAYLOAD_BYTES
    nack: bool = False
    """The sender takes NACKs."""


def new_ssrc() -> int:
    """Nine digits, as mediasoup's."""
    return 100_000_000 + secrets.randbelow(900_000_000)


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """How a stream leaves; ids are those of the receiver. It begins at numbers that nobody can guess."""

    ssrc: int
    payload_type: int
    cname: bytes
    first_sequence: int = field(default_factory=partial(secrets.randbelow, 0x8000))
    """Below 0x8000: the roll-over guess of a receiver that misses the first packet stays right."""
    first_timestamp: int = field(default_factory=partial(secrets.randbits, 32))
    level_id: int = 0
    mid_id: int = 0
    mid: bytes = b""
    red_payload_type: int = 0
    """Payload type under which RED passes through, 0: it is stripped to its primary block."""
    nack: bool = False
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """What was heard of a producer since the last `levels`: RFC 6464, 0 is loudest, 127 is silence."""

    producer: Handle
    packets: int
    loudest: int
    mean: int


@dataclass(frozen=True, slots=True)
class TransportStats:
    packets_received: int
    bytes_received: int
    packets_sent: int
    bytes_sent: int
    unprotect_failures: int
    """Wrong key, forged, or replayed."""
    malformed: int
    unknown_ssrc: int


@dataclass(frozen=True, slots=True)
class ProducerStats:
    ssrc: int | None
    packets: int
    bytes: int
    lost: int
    jitter_seconds: float
    refused: int
    """Dropped because the user may not speak."""
    over_limit: int
    asked_again: int
    """Requests for missing packets."""


@dataclass(frozen=True, slots=True)
class ConsumerStats:
    packets: int
    bytes: int
    late: int
    """Dropped by rule 1."""
    fraction_lost: float
    """As last reported by the listener."""
    lost: int
    jitter_seconds: float
    round_trip_seconds: float | None
    retransmitted: int


@dataclass(frozen=True, slots=True)
class EngineStats:
    packets_received: int
    packets_forwarded: int
    empty: int
    oversized: int
    foreign: int
    """Media or DTLS from an address that nobody validated, or not a known kind of datagram."""
    control_dropped: int
    """STUN and DTLS that the worker was too slow to take."""
    send_failures: int
    """The socket's buffer was full, or the kernel refused: audio is better lost than late."""
    latency_counts: tuple[int, ...]
    """Packets by time from leaving the receive call to leaving the send call, per LATENCY_BOUNDS_SECONDS."""


class Engine(Protocol):
    """One UDP socket's packets. `now` is the worker's monotonic clock; native code reads its own."""

    name: str
    """`python` or `native`, for logs and metrics."""

    # --- running -------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin to carry. The socket was bound, made non-blocking and given its buffers by the worker."""

    def close(self) -> None:
        """Stop, free everything; the socket stays open and is the worker's. May be called twice."""

    def fileno(self) -> int:
        """Readable when `drain` has something to do (the socket itself, or an eventfd)."""

    def drain(self, now: float, /) -> list[Control]:
        """Control datagrams that arrived: STUN from anywhere (20 bytes, magic cookie), DTLS from valid ones.

        With an address whose host is "" it is the other way round: a datagram that has to leave by the stream
        connection of that number. The Python engine also carries its media inside this call.
        """

    def tick(self, now: float, /) -> None:
        """Called about every 20 ms: reports that are due, and whatever else waits for time to pass."""

    def send(self, data: bytes, address: Address) -> None:
        """A control datagram of the worker (STUN answer, DTLS flight) to a UDP address. Never raises."""

    def inject(self, data: bytes, address: Address, now: float, /) -> None:
        """An RTP or RTCP packet that came by a stream connection (host "")."""

    # --- transports ----------------------------------------------------------------------------------------
    def add_transport(self) -> Handle: ...

    def remove_transport(self, transport: Handle) -> None:
        """With its producers, consumers and addresses. Every remove ignores unknown handles."""

    def set_keys(self, transport: Handle, suite: Suite, receive_key: bytes, send_key: bytes) -> None:
        """Keys are master key || master salt. Once per transport; Suite.PLAIN takes empty keys."""

    def add_address(self, transport: Handle, address: Address) -> None:
        """The peer may send from here. An address belongs to one transport: the newest claim wins."""

    def remove_address(self, transport: Handle, address: Address) -> None: ...

    def select_address(self, transport: Handle, address: Address | None) -> None:
        """We send here; None: nowhere."""

    # --- sources -------------------------------------------------------------------------------------------
    def add_producer(self, transport: Handle, spec: ProducerSpec) -> Handle:
        """A new producer has no speaking right. An SSRC that the transport already has raises ValueError."""

    def remove_producer(self, producer: Handle) -> None:
        """Its listeners and slots stay, without a source."""

    def set_speaking_right(self, producer: Handle, allowed: bool) -> None: ...

    def add_slot(self) -> Handle: ...

    def remove_slot(self, slot: Handle) -> None: ...

    def set_slot(self, slot: Handle, producer: Handle | None) -> None:
        """Change the occupant, replaying the last PREROLL_SECONDS of a new one (voice only: from its first
        packet of a level that counts as speech, see VOICE_LEVEL)."""

    # --- consumers -----------------------------------------------------------------------------------------
    def add_consumer(self, transport: Handle, source: Handle | None, spec: ConsumerSpec) -> Handle:
        """An SSRC that the transport already sends with raises ValueError: same key, same nonces."""

    def remove_consumer(self, consumer: Handle) -> None: ...

    def follow(self, consumer: Handle, source: Handle | None) -> None:
        """A producer or a slot; replays the pre-roll like `set_slot` when the source is a producer."""

    def set_paused(self, consumer: Handle, paused: bool) -> None: ...

    # --- figures -------------------------------------------------------------------------------------------
    def levels(self) -> list[Level]:
        """Of every producer that was heard since the last call; starts the next period."""

    def stats(self) -> EngineStats: ...

    def transport_stats(self, transport: Handle) -> TransportStats: ...

    def producer_stats(self, producer: Handle) -> ProducerStats: ...

    def consumer_stats(self, consumer: Handle) -> ConsumerStats: ...
