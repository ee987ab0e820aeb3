"""The promises of the port to the product: order, connect, refusal, disconnect exactly once."""

import asyncio
import logging
from typing import Any

import pytest

from realtime.socketio.frames import Frames
from realtime.socketio.interface import Accept, Connection, Recovery, Refuse
from tests.realtime.socketio.application import Recorder, connected, make_server
from tests.realtime.wire import MemoryClient, SocketClient, settle, until


@pytest.fixture(params=[False, True], ids=["json", "msgpack"])
def packed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_connect_command_disconnect(packed: bool) -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server, packed=packed)
    client.emit("echo", {"a": 1}, ack_id=7)
    await settle()
    assert client.packets() == [("ack", 7, [{"ok": True, "data": [{"a": 1}]}])]
    client.lose()
    await settle()
    assert application.seen == [("connect", {}, None), ("echo", {"a": 1}), ("disconnect", "transport close")]
    assert not server.eio.sockets
    assert not server.connections


async def test_connect_is_held_back(packed: bool) -> None:
    """Replay, CONNECT, then what was sent meanwhile, in one write."""
    application = Recorder()
    server = make_server(application)
    application.gate = asyncio.Event()
    group = server.group()
    application.joins = [group]
    application.answer = Accept(
        sid="s1", pid="p1", replay=[Frames("missed", {}, "e:1"), Frames("missed", {}, "e:2")]
    )
    client = SocketClient(server, packed=packed, auth={"pid": "p0", "offset": "e:0", "token": "t"})
    await settle()
    assert client.packets() == []
    application.gate.set()
    group.send(Frames("early", {}))
    await settle()
    assert application.seen == [
        ("connect", {"pid": "p0", "offset": "e:0", "token": "t"}, Recovery("p0", "e:0"))
    ]
    assert client.packets() == [["missed", {}, "e:1"], ["missed", {}, "e:2"], (0, {"sid": "s1", "pid": "p1"})]
    assert list(server.connections) == ["s1"]
    group.send(Frames("later", {}))
    await settle()
    assert client.packets() == [["later", {}]]


async def test_sent_during_connect_follows_it(packed: bool) -> None:
    application = Recorder()
    server = make_server(application)

    class Eager(Recorder):
        async def on_connect(self, connection, auth, recovery):  # type: ignore[no-untyped-def]
            connection.send(Frames("first", {}))
            await asyncio.sleep(0)
            connection.send(Frames("second", {}))
            return await super().on_connect(connection, auth, recovery)

    server = make_server(Eager())
    client = SocketClient(server, packed=packed)
    await settle()
    packets = client.packets()
    assert packets[0][0] == 0
    assert packets[1:] == [["first", {}], ["second", {}]]
    assert client.transport.writes == 2  # the handshake and everything else


async def test_refusal(packed: bool) -> None:
    application = Recorder()
    application.answer = Refuse("No", {"code": "TOKEN_INVALID"})
    server = make_server(application)
    client = SocketClient(server, packed=packed)
    await settle()
    assert client.packets() == [(4, {"message": "No", "data": {"code": "TOKEN_INVALID"}}), "close 1000"]
    await settle()
    assert application.seen == [("connect", {}, None)]
    assert not server.eio.sockets


async def test_failing_connect_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    application = Recorder()
    application.answer = RuntimeError("bug")
    client = SocketClient(make_server(application))
    with caplog.at_level(logging.CRITICAL):
        await settle()
    assert client.packets()[0] == (4, {"message": "Internal error", "data": {"code": "INTERNAL"}})


async def test_client_gone_before_accept() -> None:
    application = Recorder()
    application.gate = asyncio.Event()
    server = make_server(application)
    client = SocketClient(server)
    await settle()
    client.lose()
    await settle()
    application.gate.set()
    await settle()
    assert application.seen == [("connect", {}, None), ("disconnect", "transport close")]
    assert not server.connections
    assert not server.eio.sockets


async def test_client_gone_before_refusal() -> None:
    application = Recorder()
    application.gate, application.answer = asyncio.Event(), Refuse("No")
    client = SocketClient(make_server(application))
    await settle()
    client.lose()
    await settle()
    application.gate.set()
    await settle()
    assert application.seen == [("connect", {}, None)]


async def test_commands_are_handled_one_at_a_time(packed: bool) -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server, packed=packed)
    client.send(*(client.event("slow" if n % 3 == 0 else "echo", n, ack_id=n) for n in range(12)))
    answers: list[int] = []

    def collect() -> bool:
        answers.extend(packet[1] for packet in client.packets())
        return len(answers) == 12

    await until(collect)
    assert answers == list(range(12))
    assert application.connections[0].peer.task is None


async def test_waiting_packets_stop_the_reading() -> None:
    """A flood waits in the kernel's buffers, not in ours, and nothing of it is lost."""
    application = Recorder()
    gate = asyncio.Event()

    async def wait(*_: object) -> None:
        await gate.wait()

    application.commands["wait"] = wait
    server = make_server(application, inbound_packets=8)
    client = await connected(server)
    client.send(client.event("wait"), *(client.event("echo", n) for n in range(100)))
    peer = application.connections[0].peer
    await settle()
    assert client.transport.reading_paused
    assert peer.inbox is not None
    assert len(peer.inbox) == 8
    gate.set()
    await until(lambda: len(application.seen) == 102)
    assert [entry[1] for entry in application.seen[2:]] == list(range(100))
    assert not client.transport.reading_paused
    assert peer.task is None


async def test_disconnect_comes_after_the_command_in_hand() -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server)
    client.send(client.event("slow"), client.event("echo"))
    client.lose()
    await until(lambda: application.seen[-1][0] == "disconnect")
    assert [entry[0] for entry in application.seen] == ["connect", "slow", "disconnect"]


async def test_failing_command_does_not_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    application = Recorder()

    def fail(*_: object) -> None:
        raise RuntimeError("bug")

    async def fail_later(*_: object) -> None:
        raise RuntimeError("bug")

    application.commands |= {"fail": fail, "fail-later": fail_later}
    client = await connected(make_server(application))
    with caplog.at_level(logging.CRITICAL):
        client.send(client.event("fail"), client.event("fail-later"), client.event("echo", ack_id=1))
        await settle()
    assert client.packets() == [("ack", 1, [{"ok": True, "data": []}])]


async def test_client_leaves_and_comes_back_on_the_same_transport() -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server)
    client.send("41")
    client.send('42["late"]')
    client.connect()
    await settle()
    assert [entry[0] for entry in application.seen] == ["connect", "disconnect", "connect"]
    assert application.seen[1][1] == "client disconnect"
    assert client.packets()[0][0] == 0


async def test_kicked_and_drained(packed: bool) -> None:
    """Sent away for good: DISCONNECT. To come back: the transport just ends."""
    application = Recorder()
    server = make_server(application)
    kicked, drained = await connected(server, packed=packed), await connected(server, packed=packed)
    application.connections[0].close("kicked", resumable=False)
    await server.drain("server shutting down", batch=10, pause_seconds=0)
    await settle()
    assert kicked.packets() == [(1, None), "close 1000"]
    assert drained.packets() == ["close 1012"]
    assert [entry for entry in application.seen if entry[0] == "disconnect"] == [
        ("disconnect", "kicked"),
        ("disconnect", "server shutting down"),
    ]


async def test_second_parser_on_one_connection_is_refused() -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server)
    client.send(b"\x83")
    await settle()
    assert client.received() == ["close 1008"]
    assert application.seen[-1] == ("disconnect", "bad packet")


async def test_nothing_before_connect() -> None:
    application = Recorder()
    server = make_server(application)
    for packet in ('42["echo"]', "41", '431["x"]'):
        client = MemoryClient(server.eio)
        client.received()
        client.send("4" + packet[1:] if packet[0] != "4" else packet)
        await settle()
        assert client.received() == ["close 1008"]
    assert application.seen == []


async def test_foreign_namespaces_are_refused_a_few_times() -> None:
    application = Recorder()
    client = MemoryClient(make_server(application).eio)
    client.received()
    client.send(*(f"40/n{number}," for number in range(9)))
    await settle()
    received = client.received()
    assert received[0] == '44/n0,{"message":"Invalid namespace"}'
    assert received[-1] == "close 1008"
    assert len(received) == 9


async def test_answers_of_one_tick_leave_as_one_write(packed: bool) -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server, packed=packed)
    group = server.group()
    group.add(application.connections[0])

    def say(connection: Connection, arguments: list[Any], ack_id: int | None) -> None:
        group.send(Frames("said", {"n": arguments[0]}))
        connection.acknowledge(ack_id, {"ok": True})

    application.commands["say"] = say
    writes = client.transport.writes
    client.send(client.event("say", 1, ack_id=1), client.event("say", 2, ack_id=2))
    await settle()
    assert client.packets() == [
        ["said", {"n": 1}],
        ("ack", 1, [{"ok": True}]),
        ["said", {"n": 2}],
        ("ack", 2, [{"ok": True}]),
    ]
    assert client.transport.writes == writes + 1


async def test_connection_lost_in_the_tick_of_an_answer() -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server)
    client.emit("echo", ack_id=1)
    assert client.transport.protocol is not None
    client.transport.protocol.connection_lost(None)
    await settle()
    assert application.seen[-1] == ("disconnect", "transport close")
    assert not server.eio.sockets
