"""The Python side of `load.c`: compiles it on demand, feeds it a schedule, reads what it saw.

Publishers' packets are protected before the run starts, so that the run itself costs the generator next to
nothing and its clock stays true. Every client is a loopback address of its own on one socket.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from ipaddress import IPv4Address
from pathlib import Path

import msgspec

SOURCE = Path(__file__).with_name("load.c")
RECEIVE_BYTES = 256 << 20
"""Asked for; a sink that is too slow must lose nothing. Without the privilege the kernel gives less."""
CLIENTS_FROM = int(IPv4Address("127.1.0.1"))
ALWAYS = 1_000_000
"""Seconds; longer than any run."""
IP_PKTINFO = 8
"""The socket module names it from Python 3.14 on only."""
_SO_RCVBUFFORCE = 33
_RECORD = struct.Struct("=q4sH")
_CAPTURED = struct.Struct("=q4sH")


class Packet(msgspec.Struct, frozen=True):
    """One datagram to play."""

    due_ns: int
    source: str
    data: bytes


class Count(msgspec.Struct, frozen=True):
    """What had come back at a moment."""

    at_ns: int
    media: int
    reports: int
    others: int
    octets: int


class CompilerMissing(Exception):
    """The generator is C, and there is no compiler."""


def client_address(number: int) -> str:
    """The loopback address of a client."""
    return str(IPv4Address(CLIENTS_FROM + number))


def program() -> Path:
    """The compiled generator."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise CompilerMissing("the audio load generator needs a C compiler")
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    made = Path(tempfile.gettempdir()) / f"flylive-load-{os.getuid()}-{digest}"
    if not made.exists():
        fresh = made.with_suffix(f".{os.getpid()}")
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-pthread"]
        subprocess.run([compiler, *flags, str(SOURCE), "-o", str(fresh)], check=True)
        fresh.replace(made)
    return made


def client_socket() -> socket.socket:
    """One socket for all clients."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", 0))
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    return sock


class Captured(msgspec.Struct, frozen=True):
    """What one client got, and when."""

    at_ns: int
    client: str
    data: bytes


class Played(msgspec.Struct, frozen=True):
    """What the generator wrote down: when each packet left, and what the captured clients got."""

    sent_ns: list[int]
    captured: list[Captured]


class Player:
    """One run of the generator."""

    def __init__(
        self,
        sock: socket.socket,
        server: tuple[str, int],
        captured: tuple[str, int],
        directory: str,
        capture_seconds: int = ALWAYS,
    ) -> None:
        """captured: the first client whose packets are kept, and the step to the next ones."""
        self._sock, self._server, self._captured = sock, server, captured
        self._capture_seconds = capture_seconds
        self._sent, self._capture = Path(directory, "sent"), Path(directory, "captured")

    async def play(self, schedule: Iterable[Packet], core: int | None = None) -> AsyncIterator[Count]:
        """Counts as they come, once a second."""
        descriptor = self._sock.fileno()
        words = [str(program()), str(descriptor), self._server[0], str(self._server[1])]
        if core is not None and (pin := shutil.which("taskset")):
            words = [pin, "-c", str(core), *words]
        child = await asyncio.create_subprocess_exec(
            *words,
            self._captured[0],
            str(self._captured[1]),
            str(self._capture_seconds),
            str(self._sent),
            str(self._capture),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(descriptor,),
        )
        assert child.stdin is not None
        assert child.stdout is not None
        for packet in schedule:
            source = socket.inet_aton(packet.source)
            child.stdin.write(_RECORD.pack(packet.due_ns, source, len(packet.data)) + packet.data)
        feeding = asyncio.create_task(_finish(child.stdin))
        async for line in child.stdout:
            yield msgspec.json.decode(line, type=Count)
        await feeding
        if await child.wait() != 0:
            raise RuntimeError(f"the generator ended with {child.returncode}")

    def played(self) -> Played:
        sent = struct.iter_unpack("=q", self._sent.read_bytes())
        captured, data, position = [], self._capture.read_bytes(), 0
        while position < len(data):
            at_ns, client, size = _CAPTURED.unpack_from(data, position)
            position += _CAPTURED.size
            captured.append(Captured(at_ns, socket.inet_ntoa(client), data[position : position + size]))
            position += size
        return Played([left for (left,) in sent], captured)


async def _finish(pipe: asyncio.StreamWriter) -> None:
    await pipe.drain()
    pipe.close()


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round(share * (len(ordered) - 1))] if ordered else float("nan")


if __name__ == "__main__":
    sys.stdout.write(f"{program()}\n")
