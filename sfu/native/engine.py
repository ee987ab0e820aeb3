"""The interface of `sfu.engine` over the C core: what is left to Python is a change of form."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from sfu.engine import (
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

if TYPE_CHECKING:
    from sfu.native import _core

SUITES = {
    Suite.PLAIN: 0,
    Suite.AEAD_AES_128_GCM: 1,
    Suite.AEAD_AES_256_GCM: 2,
    Suite.AES_CM_128_SHA1_80: 3,
}
"""As in srtp.h."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How packets leave; `segmentation` is False from the first time the kernel refused it."""

    send_calls: int
    segmented_sends: int
    segmentation: bool


class NativeEngine:
    name = "native"

    def __init__(self, core: ModuleType, sock: socket.socket, options: EngineOptions) -> None:
        self._core: _core.Engine = core.Engine(
            sock.fileno(),
            options.batch_packets,
            options.control_backlog,
            round(options.hold_seconds * 1e9),
            options.segmentation,
            secrets.randbits(64),
            time.time_ns() - time.monotonic_ns(),
        )
        self._send_failures = 0
        self.remove_transport = self._core.remove_transport
        self.remove_producer = self._core.remove_producer
        self.remove_slot = self._core.remove_slot
        self.remove_consumer = self._core.remove_consumer
        self.set_speaking_right = self._core.set_speaking_right
        self.set_paused = self._core.set_paused

    # --- running -------------------------------------------------------------------------------------------
    def start(self) -> None:
        self._core.start()

    def close(self) -> None:
        self._core.close()

    def fileno(self) -> int:
        return self._core.fileno()

    def drain(self, _now: float) -> list[Control]:
        """The core has a clock of its own."""
        return self._core.drain()

    def tick(self, _now: float) -> None:
        """Nothing waits for it: the core's thread does."""

    def send(self, data: bytes, address: Address) -> None:
        if not self._core.send(data, *address):
            self._send_failures += 1

    def inject(self, data: bytes, address: Address, _now: float) -> None:
        self._core.inject(data, *address)

    # --- transports ----------------------------------------------------------------------------------------
    def add_transport(self) -> Handle:
        return self._core.add_transport()

    def set_keys(self, transport: Handle, suite: Suite, receive_key: bytes, send_key: bytes) -> None:
        self._core.set_keys(transport, SUITES[suite], receive_key, send_key)

    def add_address(self, transport: Handle, address: Address) -> None:
        self._core.add_address(transport, *address)

    def remove_address(self, transport: Handle, address: Address) -> None:
        self._core.remove_address(transport, *address)

    def select_address(self, transport: Handle, address: Address | None) -> None:
        host, port = address or (None, 0)
        self._core.select_address(transport, host, port)

    # --- sources -------------------------------------------------------------------------------------------
    def add_producer(self, transport: Handle, spec: ProducerSpec) -> Handle:
        return self._core.add_producer(
            transport,
            spec.ssrc is not None,
            spec.ssrc or 0,
            spec.payload_type,
            spec.red_payload_type,
            spec.level_id,
            spec.mid_id,
            spec.mid,
            spec.packets_per_second,
            spec.payload_bytes,
            spec.nack,
        )

    def add_slot(self) -> Handle:
        return self._core.add_slot()

    def set_slot(self, slot: Handle, producer: Handle | None) -> None:
        self._core.set_slot(slot, producer or 0)

    # --- consumers -----------------------------------------------------------------------------------------
    def add_consumer(self, transport: Handle, source: Handle | None, spec: ConsumerSpec) -> Handle:
        return self._core.add_consumer(
            transport,
            source or 0,
            spec.ssrc,
            spec.payload_type,
            spec.cname[:255],
            spec.first_sequence,
            spec.first_timestamp,
            spec.level_id,
            spec.mid_id,
            spec.mid,
            spec.red_payload_type,
            spec.nack,
            spec.paused,
        )

    def follow(self, consumer: Handle, source: Handle | None) -> None:
        self._core.follow(consumer, source or 0)

    # --- figures -------------------------------------------------------------------------------------------
    def levels(self) -> list[Level]:
        return [Level(*fields) for fields in self._core.levels()]

    def stats(self) -> EngineStats:
        *counts, failures, latencies = self._core.stats()
        received, forwarded, empty, oversized, foreign, dropped = counts
        return EngineStats(
            received,
            forwarded,
            empty,
            oversized,
            foreign,
            dropped,
            failures + self._send_failures,
            latencies,
        )

    def transport_stats(self, transport: Handle) -> TransportStats:
        return TransportStats(*self._core.transport_stats(transport))

    def producer_stats(self, producer: Handle) -> ProducerStats:
        return ProducerStats(*self._core.producer_stats(producer))

    def consumer_stats(self, consumer: Handle) -> ConsumerStats:
        return ConsumerStats(*self._core.consumer_stats(consumer))

    def sending(self) -> Sending:
        return Sending(*self._core.sending())
