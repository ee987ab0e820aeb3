"""The engine in plain Python: always works, and is the reference for the native one.

All datagrams that wait are read on one wake-up of the loop, forwarded as they come, and what they caused
leaves in batches. Nothing here awaits or logs; the interface and its rules are in `sfu.engine`.
"""

from __future__ import annotations

import socket
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable

from sfu import reports, rtcp, rtp, srtp
from sfu.egress import Egress, socket_name
from sfu.engine import CLOCK_RATE as CLOCK
from sfu.engine import (
    LATENCY_BOUNDS_SECONDS,
    REPORT_INTERVAL_SECONDS,
    Address,
    ConsumerSpec,
    ConsumerStats,
    Control,
    EngineOptions,
    EngineStats,
    Handle,
    Level,
    ProducerSpec,
    ProducerStats,
    Suite,
    TransportStats,
)
from sfu.forwarding import Consumer, FanOut, Frame, Peer, Producer, Slot, Stream

READ_BYTES = 2048
MAX_DATAGRAM_BYTES = 1500
TICKS_FOR_ALL_REPORTS = 50
"""Peers that joined together are not reported to together: packets would wait. Half of the ticks between two
reports are enough for everybody."""
STUN_COOKIE = b"\x21\x12\xa4\x42"


class PythonEngine:
    name = "python"

    def __init__(
        self, sock: socket.socket, options: EngineOptions, wall: Callable[[], float] = time.time
    ) -> None:
        self._sock, self._options, self._wall = sock, options, wall
        self._egress = Egress(sock, options.batch_packets)
        self._outbox: deque[Control] = deque()
        self._fan_out = FanOut(self._egress, self._outbox)
        self._peers: dict[Handle, Peer] = {}
        self._by_address: dict[Address, Peer] = {}
        self._producers: dict[Handle, Producer] = {}
        self._slots: dict[Handle, Slot] = {}
        self._consumers: dict[Handle, Consumer] = {}
        self._due: deque[tuple[float, Peer]] = deque()
        self._handles = 0
        self._received = self._empty = self._oversized = self._foreign = 0
        self._send_failures = self._control_sent = 0
        self._latencies = [0] * (len(LATENCY_BOUNDS_SECONDS) + 1)

    # --- running -------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Nothing to start: the worker's loop carries."""

    def close(self) -> None:
        for number in list(self._peers):
            self.remove_transport(number)

    def fileno(self) -> int:
        return self._sock.fileno()

    def drain(self, now: float) -> list[Control]:
        control: list[Control] = []
        receive, started, sent = self._sock.recvfrom, time.perf_counter(), self._egress.sent
        for _ in range(self._options.batch_packets):
            try:
                data, source = receive(READ_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an ICMP error of an earlier send: not about this datagram
                continue
            self._datagram(data, (source[0], source[1]), now, control)
        self._egress.flush()
        if forwarded := self._egress.sent - sent:
            elapsed = time.perf_counter() - started
            self._latencies[bisect_left(LATENCY_BOUNDS_SECONDS, elapsed)] += forwarded
        if self._outbox:
            control += self._outbox
            self._outbox.clear()
        return control

    def _datagram(self, data: bytes, address: Address, now: float, control: list[Control]) -> None:
        self._received += 1
        size = len(data)
        if not 0 < size <= MAX_DATAGRAM_BYTES:
            if size:
                self._oversized += 1
            else:
                self._empty += 1
            return
        first = data[0]
        if 128 <= first < 192 and (peer := self._by_address.get(address)):
            self._media(peer, data, now)
        elif (20 <= first < 64 and address in self._by_address) or (
            first < 4 and size >= 20 and data[4:8] == STUN_COOKIE
        ):
            control.append((data, address))
        else:
            self._foreign += 1

    def tick(self, now: float) -> None:
        for _ in range(1 + len(self._due) // TICKS_FOR_ALL_REPORTS):
            if not self._due or self._due[0][0] > now:
                break
            _, peer = self._due.popleft()
            if peer.handle not in self._peers:
                continue
            self._due.append((now + REPORT_INTERVAL_SECONDS, peer))
            if peer.ready:
                for compound in reports.compounds(peer, now, self._wall()):
                    self._report(peer, compound)
        self._egress.flush()

    def send(self, data: bytes, address: Address) -> None:
        try:
            self._sock.sendto(data, address)
            self._control_sent += 1
        except OSError:
            self._send_failures += 1

    def inject(self, data: bytes, address: Address, now: float) -> None:
        if len(data) <= MAX_DATAGRAM_BYTES and (peer := self._by_address.get(address)):
            self._received += 1
            self._media(peer, data, now)
            self._egress.flush()
        else:
            self._foreign += 1

    # --- the way in ----------------------------------------------------------------------------------------
    def _media(self, peer: Peer, data: bytes, now: float) -> None:
        peer.packets_received += 1
        peer.bytes_received += len(data)
        session = peer.receiving
        if not peer.keyed or len(data) < rtp.HEADER_BYTES - 4:
            peer.malformed += 1
            return
        try:
            if rtp.is_rtcp(data):
                plain = session.unprotect_rtcp(data) if session else data
                for again in reports.read(peer, plain, now, self._wall()):
                    self._leave(peer, again)
                return
            if session:
                data = session.unprotect(data)
        except srtp.FAILURES:
            peer.unprotect_failures += 1
            return
        packet = rtp.parse(data)
        if packet is None:
            peer.malformed += 1
            return
        producer = peer.by_ssrc.get(packet.ssrc) or self._learned(peer, packet)
        if producer is None:
            peer.unknown_ssrc += 1
        else:
            self._produced(producer, packet, now)

    def _learned(self, peer: Peer, packet: rtp.Packet) -> Producer | None:
        """An SSRC never seen: known by its MID, else by a payload type that only one producer has."""
        fitting = [
            p
            for p in peer.producers.values()
            if packet.payload_type in (p.spec.payload_type, p.spec.red_payload_type)
        ]
        named = [p for p in fitting if p.spec.mid and packet.extensions.get(p.spec.mid_id) == p.spec.mid]
        found = named or [p for p in fitting if p.ssrc is None]
        if len(found) != 1:
            return None
        producer = found[0]
        if producer.ssrc is not None:
            peer.by_ssrc.pop(producer.ssrc, None)
        producer.restart(packet.ssrc)
        peer.by_ssrc[packet.ssrc] = producer
        return producer

    def _produced(self, producer: Producer, packet: rtp.Packet, now: float) -> None:
        index = producer.reception.packet(packet.sequence, packet.timestamp, now)
        spec, payload = producer.spec, packet.payload
        if not producer.allowed:
            producer.refused += 1
            return
        if not producer.within_limit(now):
            return
        if spec.nack and (missing := producer.wanted.packet(index, now)):
            self._ask(producer, packet.ssrc, missing)
        red = None
        if spec.red_payload_type and packet.payload_type == spec.red_payload_type:
            red = rtp.red_blocks(payload)
            if red is None or red[-1][0] != spec.payload_type:
                return
            payload = red[-1][2]
        elif packet.payload_type != spec.payload_type:
            return
        if len(packet.payload) > spec.payload_bytes:
            producer.over_limit += 1
            return
        if not payload:
            # Padding only: it takes no number. What follows goes on without a gap.
            producer.synced = False
            return
        level = producer.level_of(packet.extensions)
        arrived = Frame(packet.marker, index, packet.timestamp, payload, level, now, producer, red)
        if (frame := producer.frame(arrived)) is not None:
            self._fan_out.emit(producer, frame)

    def _ask(self, producer: Producer, ssrc: int, missing: list[int]) -> None:
        if (peer := producer.origin) is not None:
            sequences = [index & rtp.MASK_16 for index in missing]
            self._report(peer, rtcp.nack(reports.own_ssrc(peer), ssrc, sequences))

    def _report(self, peer: Peer, compound: bytes) -> None:
        self._leave(peer, peer.sending.protect_rtcp(compound) if peer.sending else compound)

    def _leave(self, peer: Peer, data: bytes) -> None:
        if peer.name is not None:
            self._egress.add(data, peer.name)
        elif peer.selected is not None:
            self._outbox.append((data, peer.selected))

    # --- transports ----------------------------------------------------------------------------------------
    def _next(self) -> Handle:
        self._handles += 1
        return self._handles

    def add_transport(self) -> Handle:
        peer = Peer(self._next())
        self._peers[peer.handle] = peer
        return peer.handle

    def remove_transport(self, transport: Handle) -> None:
        if (peer := self._peers.pop(transport, None)) is None:
            return
        for consumer in list(peer.consumers):
            self.remove_consumer(consumer)
        for producer in list(peer.producers):
            self.remove_producer(producer)
        for address in list(peer.addresses):
            self.remove_address(transport, address)
            self._by_address.pop(address, None)

    def set_keys(self, transport: Handle, suite: Suite, receive_key: bytes, send_key: bytes) -> None:
        peer = self._peers[transport]
        if peer.keyed:
            raise ValueError("keys are set once: a second set would repeat indexes")
        peer.keys(srtp.receiving(suite, receive_key), srtp.sending(suite, send_key))
        self._due.append((time.monotonic() + REPORT_INTERVAL_SECONDS, peer))
        self._regroup(peer)

    def add_address(self, transport: Handle, address: Address) -> None:
        peer = self._peers[transport]
        if (owner := self._by_address.get(address)) is not None and owner is not peer:
            self.remove_address(owner.handle, address)
        peer.addresses.add(address)
        self._by_address[address] = peer

    def remove_address(self, transport: Handle, address: Address) -> None:
        if (peer := self._peers.get(transport)) is None or address not in peer.addresses:
            return
        peer.addresses.discard(address)
        del self._by_address[address]
        if peer.selected == address:
            self.select_address(transport, None)

    def select_address(self, transport: Handle, address: Address | None) -> None:
        peer = self._peers[transport]
        stream = address is None or address[0] == ""
        peer.name = None if stream or address is None else socket_name(self._sock.family, address)
        peer.selected = address
        self._regroup(peer)

    def _regroup(self, peer: Peer) -> None:
        self._egress.flush()  # cells point to the names that are about to go
        for consumer in peer.consumers.values():
            if consumer.stream is not None:
                consumer.stream.groups = None

    # --- sources -------------------------------------------------------------------------------------------
    def add_producer(self, transport: Handle, spec: ProducerSpec) -> Handle:
        peer = self._peers[transport]
        if spec.ssrc is not None and spec.ssrc in peer.by_ssrc:
            raise ValueError("this transport has that SSRC already")
        producer = Producer(self._next(), peer, spec)
        self._producers[producer.handle] = peer.producers[producer.handle] = producer
        if spec.ssrc is not None:
            peer.by_ssrc[spec.ssrc] = producer
        return producer.handle

    def remove_producer(self, producer: Handle) -> None:
        if (found := self._producers.pop(producer, None)) is None:
            return
        found.allowed = False
        for slot in list(found.slots):
            slot.occupy(None)
        for consumer in list(found.consumers.values()):
            consumer.attach(None)
        if (peer := found.origin) is not None:
            peer.producers.pop(producer, None)
            if found.ssrc is not None:
                peer.by_ssrc.pop(found.ssrc, None)

    def set_speaking_right(self, producer: Handle, allowed: bool) -> None:
        if (found := self._producers.get(producer)) is None or found.allowed is allowed:
            return
        found.allowed = allowed
        if not allowed:
            for frame in found.silence(time.monotonic()):
                self._fan_out.emit(found, frame)
            self._egress.flush()

    def add_slot(self) -> Handle:
        slot = Slot(self._next())
        self._slots[slot.handle] = slot
        return slot.handle

    def remove_slot(self, slot: Handle) -> None:
        if (found := self._slots.pop(slot, None)) is None:
            return
        found.occupy(None)
        for consumer in list(found.consumers.values()):
            consumer.attach(None)

    def set_slot(self, slot: Handle, producer: Handle | None) -> None:
        found = self._slots[slot]
        occupant = None if producer is None else self._producers[producer]
        if found.occupant is occupant:
            return
        found.occupy(occupant)
        if occupant is not None:
            for frame in occupant.first_syllable(time.monotonic()):
                self._fan_out.through(found, frame)
            self._egress.flush()

    # --- consumers -----------------------------------------------------------------------------------------
    def _source(self, source: Handle | None) -> Stream | None:
        if source is None:
            return None
        return self._producers.get(source) or self._slots[source]

    def add_consumer(self, transport: Handle, source: Handle | None, spec: ConsumerSpec) -> Handle:
        peer = self._peers[transport]
        if spec.ssrc in peer.listening:
            raise ValueError("this transport sends with that SSRC already")
        consumer = Consumer(self._next(), peer, spec)
        self._consumers[consumer.handle] = peer.consumers[consumer.handle] = consumer
        peer.listening[spec.ssrc] = consumer
        consumer.attach(self._source(source))
        return consumer.handle

    def remove_consumer(self, consumer: Handle) -> None:
        if (found := self._consumers.pop(consumer, None)) is None:
            return
        found.attach(None)
        found.peer.consumers.pop(consumer, None)
        found.peer.listening.pop(found.ssrc, None)

    def follow(self, consumer: Handle, source: Handle | None) -> None:
        found, stream = self._consumers[consumer], self._source(source)
        if found.stream is stream:
            return
        found.attach(stream)
        if isinstance(stream, Producer):
            self._fan_out.replay(found, stream.first_syllable(time.monotonic()))
            self._egress.flush()

    def set_paused(self, consumer: Handle, paused: bool) -> None:
        found = self._consumers[consumer]
        if found.paused is not paused:
            found.paused = paused
            if paused:
                found.settle()
            if found.stream is not None:
                found.stream.groups = None

    # --- figures -------------------------------------------------------------------------------------------
    def levels(self) -> list[Level]:
        found = []
        for producer in self._producers.values():
            if producer.heard:
                mean = round(producer.total / producer.heard)
                found.append(Level(producer.handle, producer.heard, producer.loudest, mean))
                producer.heard, producer.total, producer.loudest = 0, 0, 127
        return found

    def stats(self) -> EngineStats:
        return EngineStats(
            packets_received=self._received,
            packets_forwarded=self._egress.sent - self._egress.added,
            empty=self._empty,
            oversized=self._oversized,
            foreign=self._foreign,
            control_dropped=0,
            send_failures=self._send_failures + self._egress.failures + self._fan_out.protect_failures,
            latency_counts=tuple(self._latencies),
        )

    def transport_stats(self, transport: Handle) -> TransportStats:
        peer = self._peers[transport]
        counts = [consumer.counts() for consumer in peer.consumers.values()]
        return TransportStats(
            packets_received=peer.packets_received,
            bytes_received=peer.bytes_received,
            packets_sent=sum(packets for packets, _ in counts),
            bytes_sent=sum(octets for _, octets in counts),
            unprotect_failures=peer.unprotect_failures,
            malformed=peer.malformed,
            unknown_ssrc=peer.unknown_ssrc,
        )

    def producer_stats(self, producer: Handle) -> ProducerStats:
        found = self._producers[producer]
        reception = found.reception
        return ProducerStats(
            ssrc=found.ssrc,
            packets=reception.received,
            bytes=found.octets,
            lost=reception.lost,
            jitter_seconds=reception.jitter / CLOCK,
            refused=found.refused,
            over_limit=found.over_limit,
            asked_again=found.wanted.asked,
        )

    def consumer_stats(self, consumer: Handle) -> ConsumerStats:
        found = self._consumers[consumer]
        packets, octets = found.counts()
        return ConsumerStats(
            packets=packets - found.late,
            bytes=octets,
            late=found.late,
            fraction_lost=found.lost_fraction,
            lost=found.lost,
            jitter_seconds=found.jitter,
            round_trip_seconds=found.round_trip,
            retransmitted=found.resent,
        )
