"""Deadlines, back-pressure and ends of one session, without sockets."""

from typing import Any

import pytest

from realtime.engine.limits import Limits
from realtime.engine.reasons import Reason, resumable
from realtime.engine.requests import Refused
from realtime.engine.server import Engine
from realtime.engine.session import Session
from tests.realtime.wire import ENVIRON, MemoryClient, client_frame, settle, until


class Sink:
    """A consumer that records."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.closed: list[str] = []
        self.sessions: list[Session] = []

    def on_open(self, session: Session) -> None:
        self.sessions.append(session)

    def on_message(self, session: Session, data: str | bytes) -> None:
        self.messages.append(data)

    def on_close(self, session: Session, reason: str) -> None:
        self.closed.append(reason)


def make(**limits: Any) -> tuple[Engine, Sink]:
    quiet = {"ping_interval_seconds": 60.0, "ping_timeout_seconds": 60.0, "connect_timeout_seconds": 0.0}
    engine, sink = Engine(limits=Limits(**{**quiet, **limits})), Sink()
    engine.consumer = sink
    return engine, sink


async def next_messages(client: MemoryClient) -> list[str | bytes]:
    """What comes next, when it comes."""
    size = len(client.transport.written)
    await until(lambda: len(client.transport.written) > size)
    return client.received()


async def test_pings_until_no_pong_comes() -> None:
    # A client that a busy machine keeps from answering for a moment is none without a pong.
    engine, sink = make(ping_interval_seconds=0.05, ping_timeout_seconds=1.0)
    client = MemoryClient(engine)
    client.received()
    for _ in range(3):
        assert await next_messages(client) == ["2"]
        client.send("3")
    await until(lambda: sink.closed)
    await settle()
    assert sink.closed == [Reason.PING_TIMEOUT]
    assert client.transport.aborted
    assert not engine.sockets
    assert len(engine.wheel) == 0


async def test_client_without_connect_is_closed() -> None:
    engine, sink = make(connect_timeout_seconds=0.05)
    patient, hasty = MemoryClient(engine), MemoryClient(engine)
    sink.sessions[1].connected()
    await until(lambda: sink.closed)
    assert sink.closed == [Reason.CONNECT_TIMEOUT]
    assert patient.received()[-1] == "close 1000"
    assert "close 1000" not in hasty.received()


async def test_slow_consumer_has_a_time_limit() -> None:
    """Behind, but never over the hard limit: the clock decides."""
    engine, sink = make(slow_seconds=0.05, soft_buffer_bytes=100, ping_interval_seconds=0.4)
    client, other = MemoryClient(engine), MemoryClient(engine)
    client.transport.stalled = True
    for session in sink.sessions:
        session.write(b"\x82\x7e\x00\xc8" + b"x" * 200)
    assert not sink.sessions[0].healthy
    await until(lambda: sink.closed)
    assert sink.closed == [Reason.SLOW_CONSUMER]
    assert client.transport.aborted
    assert not other.transport.closing


async def test_consumer_that_catches_up_stays() -> None:
    engine, sink = make(slow_seconds=0.1, soft_buffer_bytes=100, ping_interval_seconds=0.2)
    client = MemoryClient(engine)
    client.transport.stalled = True
    sink.sessions[0].write(b"\x82\x7e\x00\xc8" + b"x" * 200)
    client.transport.drain()
    assert sink.sessions[0].healthy
    other = MemoryClient(engine)
    other.lose()
    await until(lambda: "2" in client.received())
    assert sink.closed == [Reason.TRANSPORT_CLOSE]


async def test_polling_client_that_never_polls_is_bounded() -> None:
    engine, sink = make(soft_buffer_bytes=1000, hard_buffer_bytes=5000)
    session = engine.open_session(dict(ENVIRON))
    for number in range(20):
        session.write(b"\x82\x7e\x01\xf4" + b"x" * 500)
        assert session.healthy == (number < 1)
    await settle()
    assert sink.closed == [Reason.SLOW_CONSUMER]
    assert session.pending == []


@pytest.mark.parametrize("packet", ["", "x", "0{}", "6", "2", "2probe", "5", "9"])
async def test_bad_engine_packets_close(packet: str) -> None:
    engine, sink = make()
    client = MemoryClient(engine)
    client.received()
    client.send(packet)
    await settle()
    assert client.received() == ["close 1008"]
    assert sink.closed == [Reason.BAD_PACKET]
    assert not engine.sockets


async def test_pongs_that_nobody_asked_for() -> None:
    engine, sink = make(control_frames=5)
    client = MemoryClient(engine)
    client.send(*["3"] * 5)
    assert sink.closed == []
    client.send("3")
    assert sink.closed == [Reason.BAD_PACKET]


async def test_close_handshake() -> None:
    """Our close waits for the peer's; a peer that does not answer is cut."""
    engine, sink = make(linger_seconds=0.05, ping_interval_seconds=0.4)
    polite, rude = MemoryClient(engine), MemoryClient(engine)
    for session in list(sink.sessions):
        session.close(Reason.SERVER_DISCONNECT, 1012)
    assert not polite.transport.closing
    polite.feed(client_frame(8, b"\x03\xf4"))
    assert polite.transport.closing
    assert not polite.transport.aborted
    await until(lambda: rude.transport.aborted)
    assert sink.closed == [Reason.SERVER_DISCONNECT] * 2
    assert [client.received()[-1] for client in (polite, rude)] == ["close 1012"] * 2


async def test_peers_close() -> None:
    engine, sink = make()
    client = MemoryClient(engine)
    client.received()
    client.feed(client_frame(8, b"\x03\xe9") + client_frame(1, b"4late"))
    await settle()
    assert client.received() == ["close 1001"]
    assert sink.closed == [Reason.TRANSPORT_CLOSE]
    assert sink.messages == []


@pytest.mark.parametrize(
    ("error", "reason"), [(None, Reason.TRANSPORT_CLOSE), (OSError(), Reason.TRANSPORT_ERROR)]
)
async def test_lost_connection(error: Exception | None, reason: Reason) -> None:
    engine, sink = make()
    MemoryClient(engine).lose(error)
    await settle()
    assert sink.closed == [reason]
    assert len(engine.wheel) == 0


async def test_upgrade_that_fails_leaves_polling_alone() -> None:
    engine, sink = make()
    session = engine.open_session(dict(ENVIRON))
    probe = MemoryClient(engine, {"EIO": "4", "transport": "websocket", "sid": session.sid})
    probe.send("2probe")
    assert probe.received() == ["3probe"]
    probe.lose()
    await settle()
    assert sink.closed == []
    assert session.link is None
    second = MemoryClient(engine, {"EIO": "4", "transport": "websocket", "sid": session.sid})
    second.send("2probe")
    session.write(b"\x81\x02ab")
    assert second.received() == ["3probe"]
    second.send("5")
    assert second.received() == ["ab"]
    assert session.upgraded


@pytest.mark.parametrize("packet", ["5", "4hello", "2probex", "3probe"])
async def test_bad_probe_closes(packet: str) -> None:
    engine, sink = make()
    session = engine.open_session(dict(ENVIRON))
    probe = MemoryClient(engine, {"EIO": "4", "transport": "websocket", "sid": session.sid})
    probe.send(packet)
    await settle()
    assert sink.closed == [Reason.BAD_PACKET]
    assert not engine.sockets


async def test_connections_per_address() -> None:
    engine, _ = make(connections_per_address=2)
    clients = [MemoryClient(engine) for _ in range(2)]
    with pytest.raises(Refused, match="Too many connections") as refused:
        MemoryClient(engine)
    assert refused.value.status == 429
    clients[0].lose()
    await settle()
    MemoryClient(engine)
    assert engine.addresses == {"192.0.2.1": 2}


async def test_bytes_that_came_with_the_upgrade() -> None:
    engine, sink = make()
    MemoryClient(engine, tail=client_frame(1, b"4early"))
    assert sink.messages == ["early"]


def test_who_may_come_back() -> None:
    assert resumable(Reason.PING_TIMEOUT)
    assert resumable(Reason.SLOW_CONSUMER)
    assert not resumable(Reason.CLIENT_DISCONNECT)
    assert not resumable(Reason.BAD_PACKET)
