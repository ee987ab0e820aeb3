"""When others may send past a session's transport: only while nothing could be overtaken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from realtime.engine.lines import NO_LINE
from realtime.engine.reasons import Reason
from realtime.engine.session import Session
from tests.realtime.engine.test_session import make
from tests.realtime.wire import MemoryClient, MemoryTransport, client_frame, settle, until

WIRE = b"\x82\x64" + b"x" * 100


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


def opened(sock: socket.socket, extra: Any = None, **limits: Any) -> tuple[MemoryClient, Session]:
    engine, sink = make(**limits)
    transport = MemoryTransport()
    transport.extra = {"socket": sock, **(extra or {})}
    return MemoryClient(engine, transport=transport), sink.sessions[0]


async def test_an_open_session_has_its_socket_as_line(sock: socket.socket) -> None:
    _, session = opened(sock)
    assert session.line == sock.fileno()


async def test_tls_and_transports_without_a_socket_have_none(sock: socket.socket) -> None:
    client, session = opened(sock, {"sslcontext": object()})
    assert session.line == NO_LINE
    assert client.transport.high == session.engine.limits.soft_buffer_bytes
    client, session = opened(sock, {"socket": None})
    assert session.line == NO_LINE
    assert session.direct


async def test_what_is_said_to_one_client_in_this_tick_comes_first(sock: socket.socket) -> None:
    client, session = opened(sock)
    session.post(WIRE)
    assert session.line == NO_LINE
    await settle()
    assert session.line == sock.fileno()
    assert client.transport.written.endswith(WIRE)


async def test_held_sessions_have_no_line(sock: socket.socket) -> None:
    _, session = opened(sock)
    session.hold()
    assert session.line == NO_LINE
    session.release(b"")
    assert session.line == sock.fileno()


async def test_nobody_overtakes_what_the_transport_keeps(sock: socket.socket) -> None:
    client, session = opened(sock)
    client.transport.stalled = True
    session.write(WIRE)
    assert session.line == NO_LINE
    assert session.healthy
    client.transport.drain()
    assert session.line == sock.fileno()


async def test_falling_behind_while_corked_is_noticed_at_the_end_of_the_tick(sock: socket.socket) -> None:
    client, session = opened(sock)
    session.post(WIRE)
    client.transport.stalled = True
    await settle()
    session.post(WIRE)
    assert session.line == NO_LINE
    client.transport.drain()
    await settle()
    assert session.line == sock.fileno()


async def test_ended_sessions_have_no_line(sock: socket.socket) -> None:
    client, session = opened(sock)
    client.lose()
    await settle()
    assert session.line == NO_LINE
    _, session = opened(sock)
    session.close(Reason.SERVER_DISCONNECT)
    assert session.line == NO_LINE


async def test_nothing_follows_a_close_frame(sock: socket.socket) -> None:
    client, session = opened(sock)
    client.feed(client_frame(8, b"\x03\xe8"))
    assert session.line == NO_LINE


async def test_who_is_nearly_up_to_date_at_the_deadline_stays(sock: socket.socket) -> None:
    """The transport tells only when it keeps nothing at all; the clock looks for itself."""
    client, session = opened(sock, soft_buffer_bytes=200, slow_seconds=0.05, ping_interval_seconds=0.4)
    client.transport.stalled = True
    session.write(WIRE * 3)
    assert not session.healthy
    client.transport.buffered = 40
    await until(lambda: session.healthy)
    assert not session.closed
    assert session.line == NO_LINE
    session.write(WIRE * 3)
    assert not session.healthy
    await until(lambda: session.closed)


async def test_writing_shows_that_a_client_has_caught_up(sock: socket.socket) -> None:
    client, session = opened(sock, soft_buffer_bytes=1000)
    client.transport.stalled = True
    session.write(WIRE * 11)
    assert not session.healthy
    client.transport.buffered = 100
    session.write(WIRE)
    assert session.healthy
