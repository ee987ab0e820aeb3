"""The sockets of a worker: both families, TCP, and what strangers get (nothing)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest

from sfu import stun, switchboard
from sfu.connections import ClientTransport
from sfu.dtls import Certificate
from sfu.engine import EngineOptions
from sfu.framing import Framer, frame
from sfu.ice import CONSENT_SECONDS
from sfu.switchboard import Place, Switchboard, open_socket
from state.identity import Actor
from state.ports import Caller

TRANSACTION = bytes(12)
CERTIFICATE = Certificate.generateCertificate()
CALLER = Caller("node.1", Actor("ada"), "room")


@pytest.fixture(params=["auto", "python"])
async def board(request: pytest.FixtureRequest) -> AsyncIterator[Switchboard]:
    place = Place("0.0.0.0", announced=("127.0.0.1", "::1"), engine=str(request.param))
    made = Switchboard(place, CERTIFICATE, EngineOptions())
    await made.start()
    yield made
    await made.stop()


def opened(board: Switchboard) -> ClientTransport:
    def unexpected(_transport: ClientTransport, reason: str) -> None:
        raise AssertionError(reason)

    return board.open_transport(CALLER, unexpected)


def check(transport: ClientTransport, password: str = "") -> bytes:
    user = f"{transport.ice.ufrag}:theirs"
    return stun.request(TRANSACTION, user, password or transport.ice.password, use_candidate=1)


class Udp:
    """A client's socket."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.sock.setblocking(False)
        self.host = host
        self.address = self.sock.getsockname()[:2]

    async def ask(self, board: Switchboard, data: bytes, seconds: float = 2.0) -> bytes | None:
        self.sock.sendto(data, (self.host, board.port))
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 2048), seconds)
        except TimeoutError:
            return None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_check_is_answered_on_both_families(board: Switchboard, host: str) -> None:
    transport, client = opened(board), Udp(host)
    reply = await client.ask(board, check(transport))
    assert reply is not None
    assert stun.mapped_address(reply) == client.address
    assert transport.ice.selected is not None
    assert transport.link.reachable.is_set()
    client.sock.close()


async def test_strangers_get_no_byte(board: Switchboard) -> None:
    transport, stranger = opened(board), Udp("127.0.0.1")
    hello = b"\x16\xfe\xff" + bytes(100)
    for data in (
        b"",
        hello,
        b"\x80\x6f" + bytes(40),
        b"\x81\xc9" + bytes(40),
        stun.request(TRANSACTION, "nobody:x", "password"),
        check(transport, "wrong password"),
        bytes(1400),
    ):
        assert await stranger.ask(board, data, 0.05) is None
    assert transport.ice.selected is None
    assert board.responder.counts.forged == 1
    stranger.sock.close()


async def test_dtls_waits_for_the_clients_parameters(board: Switchboard) -> None:
    transport, client = opened(board), Udp("127.0.0.1")
    await client.ask(board, check(transport))
    for _ in range(40):
        client.sock.sendto(b"\x16\xfe\xff" + bytes(50), ("127.0.0.1", board.port))
    deadline = time.monotonic() + 10
    while transport.link._datagrams.empty():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert not transport.is_started
    client.sock.close()


async def test_tcp_carries_the_same(board: Switchboard) -> None:
    assert board.tcp_port == board.port
    transport = opened(board)
    reader, writer = await asyncio.open_connection("127.0.0.1", board.tcp_port)
    writer.write(frame(check(transport)))
    framer = Framer()
    replies: list[bytes] = []
    while not replies:
        replies = framer.feed(await asyncio.wait_for(reader.read(1000), 10))
    assert stun.mapped_address(replies[0]) == writer.get_extra_info("sockname")[:2]
    assert transport.ice.selected is not None
    assert transport.ice.selected[0] == ""
    writer.close()
    deadline = time.monotonic() + 10
    while transport.ice.selected is not None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0", b"\xff\xff", frame(b"\x16\xfe\xff")])
async def test_a_foreign_stream_is_cut_without_an_answer(board: Switchboard, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", board.tcp_port)
    writer.write(data)
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_silence_ends_a_transport(board: Switchboard) -> None:
    ended: list[str] = []
    transport = board.open_transport(CALLER, lambda _transport, reason: ended.append(reason))
    transport.ice.last_check = time.monotonic() - CONSENT_SECONDS - 1
    deadline = time.monotonic() + 3
    while not ended:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert ended[0] == "no consent"


async def test_a_removed_transport_is_forgotten(board: Switchboard) -> None:
    transport, client = opened(board), Udp("127.0.0.1")
    assert await client.ask(board, check(transport)) is not None
    await board.remove(transport)
    assert await client.ask(board, check(transport), 0.1) is None
    assert not board.transports
    client.sock.close()


async def test_one_announced_address_of_this_machine_is_bound() -> None:
    made = Switchboard(Place("0.0.0.0", announced=("127.0.0.1",)), CERTIFICATE, EngineOptions())
    assert made.sock.getsockname()[0] == "127.0.0.1"
    assert {candidate["address"] for candidate in made.candidates()} == {"127.0.0.1"}
    await made.stop()


async def test_an_address_behind_a_translator_is_only_announced() -> None:
    made = Switchboard(Place("0.0.0.0", announced=("203.0.113.9",)), CERTIFICATE, EngineOptions())
    assert made.sock.getsockname()[0] in ("::", "0.0.0.0")
    assert {candidate["address"] for candidate in made.candidates()} == {"203.0.113.9"}
    await made.stop()


async def test_any_port_is_one_that_is_free_for_tcp_too(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def busy(kind: socket.SocketKind, place: Place, port: int) -> socket.socket:
        if kind is socket.SOCK_STREAM and len(taken) < 3:
            taken.append(port)
            raise OSError("somebody has it")
        return open_socket(kind, place, port)

    monkeypatch.setattr(switchboard, "open_socket", busy)
    made = Switchboard(Place("127.0.0.1"), CERTIFICATE, EngineOptions())
    assert len(set(taken)) == 3
    assert made.tcp_port == made.port
    await made.stop()
    fixed = Switchboard(Place("127.0.0.1", made.port), CERTIFICATE, EngineOptions())
    assert fixed.port == made.port
    await fixed.stop()
