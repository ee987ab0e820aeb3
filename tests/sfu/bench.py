"""A bench for engines: one engine on a loopback socket, and clients with SRTP of their own."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from pylibsrtp import Error, Policy, Session

from sfu import rtp, srtp
from sfu.engine import ConsumerSpec, Control, Engine, EngineOptions, ProducerSpec, Suite
from sfu.engines import open_engine

LEVEL_ID = 1
MID_ID = 4
OPUS = 111
DEADLINE_SECONDS = 5.0
QUIET_SECONDS = 0.1


def key(suite: Suite, number: int) -> bytes:
    return bytes((number * 37 + i) & 0xFF for i in range(suite.key_bytes + suite.salt_bytes))


class Client:
    """A peer of the engine: sends protected packets, decrypts what it gets."""

    def __init__(self, bench: Bench, suite: Suite, number: int, select_now: bool = True) -> None:
        self.bench, self.suite = bench, suite
        self.sock = socket.socket(bench.sock.family, socket.SOCK_DGRAM)
        self.sock.bind(("::1" if bench.sock.family == socket.AF_INET6 else "127.0.0.1", 0))
        self.sock.setblocking(False)
        self.address = self.sock.getsockname()[:2]
        self.handle = bench.engine.add_transport()
        to_engine, from_engine = key(suite, 2 * number), key(suite, 2 * number + 1)
        bench.engine.add_address(self.handle, self.address)
        bench.engine.set_keys(self.handle, suite, to_engine, from_engine)
        self.sending = srtp.sending(suite, to_engine)
        self.receiving = None
        if suite is not Suite.PLAIN:
            policy = Policy(from_engine, Policy.SSRC_ANY_INBOUND, srtp_profile=srtp.PROFILES[suite])
            policy.window_size = 1024
            self.receiving = Session(policy)
        if select_now:
            bench.engine.select_address(self.handle, self.address)
        self.sequence, self.timestamp = 1000, 50_000
        self.rtcp: list[bytes] = []
        self.raw: list[bytes] = []

    def protect(self, data: bytes) -> bytes:
        return self.sending.protect(data) if self.sending else data

    def packet(self, ssrc: int, payload: bytes, level: int | None = 30, **fields: int) -> bytes:
        """The next packet of a stream, protected."""
        sequence = fields.get("sequence", self.sequence)
        timestamp = fields.get("timestamp", self.timestamp)
        self.sequence, self.timestamp = sequence + 1, timestamp + 960
        extensions = {} if level is None else {LEVEL_ID: bytes([level])}
        packet = rtp.Packet(
            False, fields.get("payload_type", OPUS), sequence & 0xFFFF, timestamp, ssrc, extensions, payload
        )
        return self.protect(rtp.build(packet))

    def send(self, data: bytes) -> None:
        self.sock.sendto(data, self.bench.address)

    def say(self, ssrc: int, payload: bytes, level: int | None = 30, **fields: int) -> None:
        self.send(self.packet(ssrc, payload, level, **fields))

    def received(self) -> list[rtp.Packet]:
        """What waits at the socket, decrypted and parsed; RTCP goes aside."""
        packets: list[rtp.Packet] = []
        while True:
            try:
                data = self.sock.recv(2048)
            except BlockingIOError:
                return packets
            self.raw.append(data)
            if rtp.is_rtcp(data):
                self.rtcp.append(self.receiving.unprotect_rtcp(data) if self.receiving else data)
                continue
            if self.receiving:
                try:
                    data = self.receiving.unprotect(data)
                except Error as error:
                    raise AssertionError(f"the listener cannot open a packet: {error}") from error
            packet = rtp.parse(data)
            assert packet is not None
            packets.append(packet)


class Bench:
    """An engine, its socket, and a pump that stands for the worker's loop."""

    def __init__(self, kind: str, family: int = socket.AF_INET, options: EngineOptions | None = None) -> None:
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.address = self.sock.getsockname()[:2]
        self.engine: Engine = open_engine(kind, self.sock, options or EngineOptions())
        self.engine.start()
        self.control: list[Control] = []
        self.clients: list[Client] = []

    def client(self, suite: Suite = Suite.AEAD_AES_128_GCM, select_now: bool = True) -> Client:
        client = Client(self, suite, len(self.clients), select_now)
        self.clients.append(client)
        return client

    def producer(self, client: Client, ssrc: int | None, allowed: bool = True, **fields: object) -> int:
        spec = ProducerSpec(OPUS, ssrc, level_id=LEVEL_ID, **fields)  # type: ignore[arg-type]
        handle = self.engine.add_producer(client.handle, spec)
        self.engine.set_speaking_right(handle, allowed)
        return handle

    def consumer(self, client: Client, source: int | None, ssrc: int = 9001, **fields: object) -> int:
        values = {"level_id": LEVEL_ID, "first_sequence": 100, "first_timestamp": 7000, **fields}
        spec = ConsumerSpec(ssrc, OPUS, b"cname", **values)  # type: ignore[arg-type]
        return self.engine.add_consumer(client.handle, source, spec)

    def pump(self, seconds: float = 0.01) -> None:
        """One turn of the worker: what came in is handled, and the clock goes on."""
        readable, _, _ = select.select([self.engine.fileno()], [], [], seconds)
        if readable:
            self.control += self.engine.drain(time.monotonic())
        self.engine.tick(time.monotonic())

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "nothing came in time"
            self.pump()

    def settle(self) -> None:
        """Pump until nothing has happened for a while."""
        quiet_at = time.monotonic() + QUIET_SECONDS
        before = self.engine.stats()
        while time.monotonic() < quiet_at:
            self.pump()
            if (now := self.engine.stats()) != before:
                before, quiet_at = now, time.monotonic() + QUIET_SECONDS

    def heard(self, client: Client, count: int) -> list[rtp.Packet]:
        """Exactly so many packets, and no more after them."""
        packets: list[rtp.Packet] = []

        def enough() -> bool:
            packets.extend(client.received())
            return len(packets) >= count

        self.until(enough)
        self.settle()
        packets.extend(client.received())
        assert len(packets) == count, f"{len(packets)} packets instead of {count}"
        return packets

    def silent(self, client: Client) -> None:
        self.settle()
        assert client.received() == []

    def close(self) -> None:
        self.engine.close()
        for client in self.clients:
            client.sock.close()
        self.sock.close()
