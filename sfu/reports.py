"""RTCP of the Python engine: what is reported to a peer, and what a peer's reports mean for the figures."""

from __future__ import annotations

from sfu.engine import CLOCK_RATE, RETRANSMIT_PACKETS
from sfu.forwarding import Consumer, Peer
from sfu.rtcp import (
    BLOCKS_PER_REPORT,
    Block,
    Nack,
    ReceiverReport,
    SenderReport,
    description,
    middle,
    ntp_time,
    parse,
    receiver_report,
    sender_report,
)

COMPOUND_BYTES = 1200
OWN_SSRC = 1
"""Sender of receiver reports where we send no stream of our own."""


def own_ssrc(peer: Peer) -> int:
    return next(iter(peer.listening), OWN_SSRC)


def compounds(peer: Peer, now: float, wall: float) -> list[bytes]:
    """A sender report for each consumer and one receiver report, in datagrams of bounded size."""
    pieces = [piece for consumer in peer.consumers.values() if (piece := _about(consumer, now, wall))]
    blocks = [
        block for ssrc, producer in peer.by_ssrc.items() if (block := producer.reception.block(ssrc, now))
    ]
    if blocks:
        own = own_ssrc(peer)
        pieces.append(receiver_report(own, blocks[:BLOCKS_PER_REPORT]) + description([(own, b"flylive")]))
    packed: list[bytes] = []
    for piece in pieces:
        if packed and len(packed[-1]) + len(piece) <= COMPOUND_BYTES:
            packed[-1] += piece
        else:
            packed.append(piece)
    return packed


def _about(consumer: Consumer, now: float, wall: float) -> bytes:
    clock = consumer.clock()
    if clock is None:
        return b""
    timestamp, at = clock
    packets, octets = consumer.counts()
    moment = timestamp + int((now - at) * CLOCK_RATE)
    report = SenderReport(consumer.ssrc, ntp_time(wall), moment, packets, octets)
    return sender_report(report) + description([(consumer.ssrc, consumer.spec.cname[:255])])


def read(peer: Peer, data: bytes, now: float, wall: float) -> list[bytes]:
    """Take a compound into the figures; the packets to send again, as they were."""
    again: list[bytes] = []
    for report in parse(data):
        if isinstance(report, SenderReport):
            if producer := peer.by_ssrc.get(report.ssrc):
                producer.reception.sender_report(report.ntp, now)
            _take(peer, report.blocks, wall)
        elif isinstance(report, ReceiverReport):
            _take(peer, report.blocks, wall)
        elif isinstance(report, Nack) and (consumer := peer.listening.get(report.ssrc)):
            again += _kept(consumer, report.sequences)
    return again


def _take(peer: Peer, blocks: tuple[Block, ...], wall: float) -> None:
    for block in blocks:
        if (consumer := peer.listening.get(block.ssrc)) is None:
            continue
        consumer.lost_fraction, consumer.lost = block.fraction_lost / 256, block.lost
        consumer.jitter = block.jitter / CLOCK_RATE
        if block.last_report:
            waited = (middle(ntp_time(wall)) - block.last_report - block.delay) & 0xFFFFFFFF
            if waited < 1 << 31:
                consumer.round_trip = waited / 65536


def _kept(consumer: Consumer, sequences: tuple[int, ...]) -> list[bytes]:
    found = []
    for sequence in sequences[:RETRANSMIT_PACKETS]:
        kept = (consumer.history or {}).get(sequence % RETRANSMIT_PACKETS)
        if kept is not None and kept.sequence == sequence and kept.voice.allowed:
            consumer.resent += 1
            found.append(kept.data)
    return found
