"""The generator plays on time, from many addresses, and writes down what comes back."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import cast

import pytest

from loadtests.audio import player
from loadtests.audio.player import Packet, Player, client_address, client_socket, percentile

RTP = b"\x80\x6f" + bytes(30)
RTCP = b"\x80\xc8" + bytes(30)
OTHER = b"hello"


class Echo(asyncio.DatagramProtocol):
    """Sends everything back twice, and remembers who sent it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.seen.append((address[0], data))
        self.transport.sendto(data, address)
        self.transport.sendto(data, address)


async def test_a_schedule_is_played_counted_and_captured(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    transport, echo = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    sock = client_socket()
    schedule = [
        Packet(20_000_000 * turn, client_address(client), data + bytes([turn]))
        for turn in range(5)
        for client, data in enumerate((RTP, RTCP, OTHER))
    ]
    server = transport.get_extra_info("sockname")
    started_ns = time.time_ns()
    play = Player(sock, server, (client_address(0), 2), str(tmp_path))
    counts = [count async for count in play.play(schedule)]
    assert (counts[-1].media, counts[-1].reports, counts[-1].others) == (10, 10, 10)
    assert counts[-1].octets == 2 * sum(len(packet.data) for packet in schedule)
    assert echo.seen == [(packet.source, packet.data) for packet in schedule]
    played = play.played()
    # However late a busy machine sends: nothing leaves before its time.
    waits = [left - started_ns for left in played.sent_ns]
    assert all(wait >= packet.due_ns for wait, packet in zip(waits, schedule, strict=True))
    captured = {(one.client, one.data) for one in played.captured}
    assert captured == {(p.source, p.data) for p in schedule if p.source != client_address(1)}
    assert len(played.captured) == 20
    assert played.sent_ns[0] < played.captured[0].at_ns < played.captured[-1].at_ns + 1
    transport.close()
    sock.close()


async def test_what_comes_after_the_captured_time_is_only_counted(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    schedule = [Packet(second * 500_000_000, client_address(0), RTP + bytes([second])) for second in range(5)]
    with client_socket() as sock:
        server = transport.get_extra_info("sockname")
        play = Player(sock, server, (client_address(0), 1), str(tmp_path), capture_seconds=1)
        counts = [count async for count in play.play(schedule)]
    transport.close()
    assert counts[-1].media == 10
    captured = {one.data[-1] for one in play.played().captured}
    assert 0 in captured
    assert captured.isdisjoint({3, 4})


def test_clients_have_addresses_of_their_own() -> None:
    assert client_address(0) == "127.1.0.1"
    assert client_address(2000) == "127.1.7.209"


def test_without_a_compiler_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(player.CompilerMissing, match="C compiler"):
        player.program()


def test_the_socket_tells_clients_apart() -> None:
    with client_socket() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"to one of them", (client_address(3), sock.getsockname()[1]))
        sock.settimeout(5)
        _, control, _, _ = sock.recvmsg(100, 100)
        assert socket.inet_aton(client_address(3)) in control[0][2]


def test_percentiles() -> None:
    values = [float(n) for n in range(101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values[::-1], 1.0)) == (50, 99, 100)
