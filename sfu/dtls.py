"""DTLS-SRTP: the handshake of aiortc's transport, and nothing else of it.

Media never passes through here: the keys are exported and go to the engine. What the base class lacks:
one context for all transports, flights cut at record boundaries (it reads once and cuts anywhere), an MTU,
and a copy of the last flight after 100, 200, 400 ms: OpenSSL would wait a whole second for each lost flight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    State,
)
from OpenSSL import SSL

from sfu.engine import Suite

PROFILES = [SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80]
FINGERPRINT_ALGORITHMS = ("sha-256", "sha-384", "sha-512")
DATAGRAM_BYTES = 1200
RECORD_HEADER_BYTES = 13
RESEND_FIRST_SECONDS = 0.1
RESEND_LAST_SECONDS = 1.6
RESEND_OVER_SECONDS = 0.2
WAITING_DATAGRAMS = 32
"""DTLS may come before the client's parameters do: signalling can be slower than ICE."""
HANDSHAKE_SECONDS = 15.0

Keys = Callable[[Suite, bytes, bytes], None]
"""(suite, receive key, send key), each master key || master salt."""


class BadFingerprint(ValueError):
    """The client's parameters have no fingerprint that can be checked."""


class Certificate(RTCCertificate):
    """One certificate and one SSL context for every transport of the process."""

    _shared: Any = None

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        if self._shared is None:
            self._shared = super()._create_ssl_context(srtp_profiles)
            # A memory BIO cannot be asked for its MTU; without this OpenSSL cuts records of 256 bytes.
            self._shared.set_options(SSL.OP_NO_QUERY_MTU)
        return self._shared

    @property
    def fingerprint(self) -> str:
        return next(str(f.value) for f in self.getFingerprints() if f.algorithm == "sha-256")


def parse_parameters(role: str, fingerprints: list[tuple[str, str]]) -> RTCDtlsParameters:
    """Of a client: (algorithm, value) pairs, of which at least one can be checked."""
    usable = [(algorithm.lower(), value) for algorithm, value in fingerprints]
    usable = [pair for pair in usable if pair[0] in FINGERPRINT_ALGORITHMS]
    if not usable:
        raise BadFingerprint("no fingerprint with a known algorithm")
    return RTCDtlsParameters([RTCDtlsFingerprint(*pair) for pair in usable], role)


class Pacer:
    """Lets one command, or one step of a handshake, happen per turn of the loop.

    A thousand clients that come back at once would otherwise keep the loop, and with it the rooms that are
    talking, for a second: a turn of the loop reads media before it goes on with them.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._scheduled = False

    async def turn(self) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next)
        await future

    def _next(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                break
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._next)


class Link:
    """What the base class believes to be an ICE transport."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None], pacer: Pacer) -> None:
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_DATAGRAMS)
        self._out, self._pacer = send, pacer
        self.reachable = asyncio.Event()
        """Set by the first authenticated check: from then on there is somewhere to send to."""
        self.closed = False

    def datagram(self, data: bytes) -> None:
        if not self._datagrams.full():
            self._datagrams.put_nowait(data)

    async def _recv(self) -> bytes:
        data = None if self.closed else await self._datagrams.get()
        await self._pacer.turn()
        if data is None:
            raise ConnectionError
        return data

    async def _send(self, data: bytes) -> None:
        if self.closed:
            raise ConnectionError
        self._out(data)

    def close(self) -> None:
        self.closed = True
        while self._datagrams.full():
            self._datagrams.get_nowait()
        self._datagrams.put_nowait(None)


class Dtls(RTCDtlsTransport):
    """One client's handshake."""

    _ssl: Any

    def __init__(self, link: Link, certificate: Certificate, on_keys: Keys) -> None:
        super().__init__(link, [certificate])  # type: ignore[arg-type]  # duck-typed, see Link
        self._srtp_profiles = PROFILES
        self._link, self._on_keys = link, on_keys
        self._flight: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self.profile = ""

    async def run(self, remote: RTCDtlsParameters) -> bool:
        """Shake hands; True when the keys were handed over. Being the server is preferred: both sides then
        agree on our order of SRTP profiles."""
        self._set_role("client" if remote.role == "server" else "server")
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                if self._role == "client":
                    await self._link.reachable.wait()
                await self.start(remote)
        except TimeoutError:
            self._set_state(State.FAILED)
        return bool(self._state is State.CONNECTED)

    async def _do_handshake(self) -> None:
        self._ssl.set_ciphertext_mtu(DATAGRAM_BYTES)
        await super()._do_handshake()

    async def _write_ssl(self) -> None:
        """Everything OpenSSL has written, in datagrams of whole records."""
        written = bytearray()
        while True:
            try:
                written += self._ssl.bio_read(65_536)
            except SSL.Error:
                break
        if written:
            self._flight = datagrams(bytes(written))
            await self._send_flight(RESEND_FIRST_SECONDS)

    async def _send_flight(self, wait_seconds: float) -> None:
        self._cancel_timer()
        for datagram in self._flight:
            await self._link._send(datagram)
        self._schedule(wait_seconds)

    def _schedule(self, wait_seconds: float) -> None:
        """A copy of the flight later. The server's last flight gets a few too: it cannot know whether that
        arrived, and a client that misses it waits for a second before it asks."""
        is_over = self.encrypted or self._state is not State.CONNECTING
        last = RESEND_OVER_SECONDS if is_over and self._role == "server" else RESEND_LAST_SECONDS
        if (is_over and self._role != "server") or wait_seconds > last or self._state is State.FAILED:
            return
        self._timer = asyncio.get_running_loop().call_later(wait_seconds, self._again, wait_seconds)

    def _again(self, waited_seconds: float) -> None:
        is_over = self.encrypted or self._state is not State.CONNECTING
        if self._link.closed or (
            is_over and (self._role != "server" or waited_seconds > RESEND_OVER_SECONDS)
        ):
            return
        for datagram in self._flight:
            self._link._out(datagram)
        self._schedule(2 * waited_seconds)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _setup_srtp(self) -> None:
        name = self._ssl.get_selected_srtp_profile()
        profile = next((p for p in PROFILES if p.openssl_profile == name), None)
        if profile is None:
            self._set_state(State.FAILED)
            return
        bytes_needed = 2 * (profile.key_length + profile.salt_length)
        material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", bytes_needed)
        own = 1 if self._role == "server" else 0
        self.profile = name.decode()
        self._on_keys(
            Suite(self.profile),
            profile.get_key_and_salt(material, 1 - own),
            profile.get_key_and_salt(material, own),
        )

    async def close(self) -> None:
        """Tell the peer and end."""
        self._cancel_timer()
        await self.stop()
        self._link.close()


def datagrams(records: bytes) -> list[bytes]:
    """Whole records, as many as fit a datagram."""
    packed = [b""]
    position = 0
    while position + RECORD_HEADER_BYTES <= len(records):
        size = RECORD_HEADER_BYTES + int.from_bytes(records[position + 11 : position + 13], "big")
        if packed[-1] and len(packed[-1]) + size > DATAGRAM_BYTES:
            packed.append(b"")
        packed[-1] += records[position : position + size]
        position += size
    return packed
