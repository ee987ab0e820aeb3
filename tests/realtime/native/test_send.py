"""The same bytes to many sockets: what was taken is said exactly, and nothing comes twice or out of order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import select
import socket
from array import array
from collections.abc import Iterator

import pytest
import uvloop

from realtime import native
from realtime.engine.lines import NO_LINE, SendEach, each_for_itself
from realtime.engine.session import Session
from realtime.socketio.frames import Frames
from state.compiled import Unbuilt
from tests.realtime.socketio.application import Recorder, make_server
from tests.realtime.wire import ENVIRON, KEY, server_frames, text_frame

BUFFER_BYTES = 4096
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["compiled", "plain"])
def send_each(request: pytest.FixtureRequest) -> SendEach:
    if request.param == "plain":
        return each_for_itself
    native.LIBRARY.build()  # fails with the reason where it cannot be had
    return native.sender()


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Five connections with small buffers: our end, and the client's."""
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        made = []
        for _ in range(5):
            theirs = stack.enter_context(socket.socket())
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            theirs.connect(listener.getsockname())
            ours = stack.enter_context(listener.accept()[0])
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for sock in (ours, theirs):
                sock.setblocking(False)
            made.append((ours, theirs))
        yield made


def read(sock: socket.socket, size: int = 1 << 20) -> bytes:
    found = b""
    with contextlib.suppress(BlockingIOError):
        while len(found) < size and (piece := sock.recv(size - len(found))):
            found += piece
    return found


def test_what_is_said_to_be_taken_was(send_each: SendEach, pairs: list[Pair]) -> None:
    wire = bytes(range(256)) * 4
    for _ in range(200):  # until no socket takes more
        lines = array("i", [ours.fileno() for ours, _ in pairs])
        behind = send_each(lines, wire)
        assert behind == sum(taken < len(wire) for taken in lines)
        received = [_exactly(theirs, taken) for (_, theirs), taken in zip(pairs[1:], lines[1:], strict=True)]
        assert received == [wire[:taken] for taken in lines[1:]]
    assert lines[0] == 0


def test_lines_that_fail_have_taken_nothing(send_each: SendEach, pairs: list[Pair]) -> None:
    (gone, _), (closed, _), *others = pairs
    gone.shutdown(socket.SHUT_WR)
    number = closed.fileno()
    closed.close()
    lines = array("i", [gone.fileno(), number, NO_LINE, *(ours.fileno() for ours, _ in others)])
    behind = send_each(lines, b"hello")
    assert list(lines[:3]) == [0, 0, 0]
    assert behind == 3 + sum(taken < 5 for taken in lines[3:])
    assert send_each(array("i"), b"hello") == 0


def test_the_compiled_one_leaves_nothing_to_do(pairs: list[Pair]) -> None:
    native.LIBRARY.build()
    assert native.sender()(array("i", [ours.fileno() for ours, _ in pairs]), b"hello") == 0
    assert [_exactly(theirs, 5) for _, theirs in pairs] == [b"hello"] * len(pairs)


def test_without_a_compiler_sessions_write_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise Unbuilt("no")

    monkeypatch.setattr(native.LIBRARY, "build", refuse)
    assert native.sender() is each_for_itself


def _exactly(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        select.select([sock], [], [], 10.0)
        found += read(sock, size - len(found))
    return found


class Reader:
    """A client on a real socket that reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.data = sock, b""

    def read(self, size: int) -> None:
        self.data += read(self.sock, size)

    def numbers(self) -> list[int]:
        frames = server_frames(self.data.partition(b"\r\n\r\n")[2])
        texts = [payload.decode() for _, payload in frames]
        return [json.loads(text[2:])[1]["n"] for text in texts if text.startswith("42")]


class Counted:
    """Knows how often a socket took everything, a part, or nothing."""

    def __init__(self, send_each: SendEach) -> None:
        self.send_each = send_each
        self.whole = self.part = 0

    def __call__(self, lines: array[int], wire: bytes, /) -> int:
        behind = self.send_each(lines, wire)
        self.whole += sum(taken == len(wire) for taken in lines)
        self.part += sum(0 < taken < len(wire) for taken in lines)
        return behind


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("seed", range(4))
def test_rooms_on_real_sockets_lose_and_double_nothing(
    seed: int,
    loop_factory: type[asyncio.AbstractEventLoop],
    send_each: SendEach,
    pairs: list[Pair],
) -> None:
    """Events and personal packets of all sizes to clients that read now and then, on small sockets."""
    counted = Counted(send_each)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_room(random.Random(seed), counted, pairs))
    if send_each is not each_for_itself:
        assert counted.whole > 100
        assert counted.part > 5


async def _room(rng: random.Random, counted: Counted, pairs: list[Pair]) -> None:
    application = Recorder()
    server = make_server(application, hard_buffer_bytes=1 << 30, slow_seconds=600.0)
    server.fanout.send_each = counted
    group = server.group()
    application.joins = [group]
    readers, loop = [Reader(theirs) for _, theirs in pairs], asyncio.get_running_loop()
    for ours, theirs in pairs:
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, sock=ours)
        query = {"EIO": "4", "transport": "websocket"}
        server.eio.accept_socket(query, KEY, "13", dict(ENVIRON), transport, b"")
        theirs.send(text_frame("40"))
    async with asyncio.timeout(30):
        while len(application.connections) < len(pairs):
            await asyncio.sleep(0.001)
    due: list[list[int]] = [[] for _ in pairs]
    for number in range(600):
        frames = Frames("e", {"n": number, "filler": "x" * rng.choice((0, 100, 3000))})
        who = rng.randrange(len(pairs))
        if rng.random() < 0.7:
            group.send(frames)
            for member in due:
                member.append(number)
        else:
            application.connections[who].send(frames)
            due[_index(application.connections[who].peer.session, pairs)].append(number)
        for reader in readers:
            if rng.random() < 0.8:
                reader.read(rng.choice((1000, 1 << 20)))
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
    sessions = [connection.peer.session for connection in application.connections]
    async with asyncio.timeout(30):
        while group.busy or not all(session.direct for session in sessions):
            for reader in readers:
                reader.read(1 << 20)
            await asyncio.sleep(0.001)
    for reader in readers:
        reader.read(1 << 20)
    assert [reader.numbers() for reader in readers] == due
    await server.eio.shutdown()


def _index(session: Session, pairs: list[Pair]) -> int:
    assert session.link is not None
    return [ours.fileno() for ours, _ in pairs].index(session.link.line)
