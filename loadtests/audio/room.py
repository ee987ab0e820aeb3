"""Many users of the audio path on one UDP socket: they join in Python, and are played by `load.c`.

A user is a loopback address. Joining is `loadtests.clients.audio` with another transport under it; the
certificate and its context are shared, so that a thousand joins measure the server and not this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiortc import rtcdtlstransport as dtls

from loadtests.audio.player import IP_PKTINFO, Packet, client_address, client_socket
from loadtests.clients import audio
from loadtests.clients.audio import SETTLE_SECONDS, AudioFailed, AudioUser

Exchange = Callable[[str], Awaitable[str]]
"""An offer for an answer."""

CONSENT_NS = 10_000_000_000
RECEIVE_BYTES = 2048
_INFO = struct.Struct("=i4s4s")


class SharedCertificate(dtls.RTCCertificate):
    """One context for all users: making one costs more than the handshake."""

    _context: Any = None

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles=srtp_profiles)
        return self._context


class Path:
    """One user's way out: the shared socket, with the user's address as source."""

    def __init__(self, sock: socket.socket, address: str, server: tuple[str, int]) -> None:
        self._sock, self._server = sock, server
        info = _INFO.pack(0, socket.inet_aton(address), bytes(4))
        self._control = [(socket.IPPROTO_IP, IP_PKTINFO, info)]

    def sendto(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            self._sock.sendmsg([data], self._control, 0, self._server)

    def close(self) -> None:
        """The socket stays for the others."""


class Member(AudioUser):
    """A user on the shared socket."""

    def __init__(self, room: AudioRoom, number: int) -> None:
        super().__init__(lambda _what, _amount: None, random.Random(number))
        self.certificate = room.certificate
        self.room, self.number, self.address = room, number, client_address(number)

    async def join(self, exchange: Exchange, *, slots: int, mic: bool) -> None:
        self.remote = audio.read_answer(await exchange(audio.offer(self, slots, mic)))
        self.transport = cast(
            asyncio.DatagramTransport, Path(self.room.sock, self.address, self.remote.address)
        )
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._check_path()
                await self._shake_hands()
        except TimeoutError as late:
            raise AudioFailed(f"user {self.number}: checks or handshake unanswered") from late
        self.consent = asyncio.create_task(self._keep_consent())

    def speech(self, frames: int, phase_ns: int) -> list[Packet]:
        """So many frames, protected, each with its number in the payload."""
        found = []
        for number in range(frames):
            data = self.outbound.protect(audio.packet(self, number, number))
            found.append(Packet(phase_ns + number * 20_000_000, self.address, data))
        return found

    def checks(self, until_ns: int) -> list[Packet]:
        """What keeps consent while `load.c` plays."""
        kept: list[bytes] = []
        self.transport = cast(asyncio.DatagramTransport, Recorder(kept))
        times = range(self.number * 7_919_000 % CONSENT_NS, until_ns, CONSENT_NS)
        for _ in times:
            self._send_check()
        return [Packet(due, self.address, data) for due, data in zip(times, kept, strict=True)]


class Recorder:
    """Keeps what would be sent."""

    def __init__(self, kept: list[bytes]) -> None:
        self._kept = kept

    def sendto(self, data: bytes) -> None:
        self._kept.append(data)

    def close(self) -> None:
        """Nothing to close."""


class AudioRoom:
    """The users of one run, and their socket."""

    def __init__(self) -> None:
        self.sock = client_socket()
        self.sock.setblocking(False)
        self.certificate: Any = SharedCertificate.generateCertificate()
        self.members: dict[str, Member] = {}

    def open(self) -> None:
        asyncio.get_running_loop().add_reader(self.sock, self._read)

    def add(self) -> Member:
        return self.admit(Member(self, len(self.members)))

    def admit(self, member: Member) -> Member:
        self.members[member.address] = member
        return member

    def _read(self) -> None:
        for _ in range(64):
            try:
                data, control, _, _ = self.sock.recvmsg(RECEIVE_BYTES, socket.CMSG_SPACE(_INFO.size))
            except BlockingIOError:
                return
            for _, kind, info in control:
                if kind == IP_PKTINFO and data:
                    member = self.members.get(socket.inet_ntoa(_INFO.unpack(info[: _INFO.size])[2]))
                    if member is not None:
                        member.datagram_received(data, None)

    def hand_over(self) -> None:
        """From here on `load.c` reads and sends."""
        asyncio.get_running_loop().remove_reader(self.sock)
        for member in self.members.values():
            if member.consent is not None:
                member.consent.cancel()

    def close(self) -> None:
        self.sock.close()
