"""Clients that mean harm: each is closed at once, told to the product once, and leaves nothing behind."""

import asyncio
import logging
import resource

import msgpack
import pytest

from realtime.engine.reasons import Reason
from tests.realtime.socketio.application import Recorder, connected, make_server
from tests.realtime.socketio.test_packets import BAD_PACKS, BAD_TEXTS
from tests.realtime.wire import MemoryClient, client_frame, settle, until

MORE_TEXTS: dict[str, str | bytes] = {
    "connect twice": "40",
    "not Engine.IO": "x",
    "an ack nobody asked for": "431[]",
    "binary from a JSON client": b"abc",
    "too large": '42["e","' + "a" * 70_000 + '"]',
}


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
async def test_bad_packets_close(packed: bool, caplog: pytest.LogCaptureFixture) -> None:
    """All of them on one server, which must not notice."""
    application = Recorder()
    server = make_server(application, depth=4)
    cases: dict[str, str | bytes] = {**{name: "4" + text for name, text in BAD_TEXTS.items()}, **MORE_TEXTS}
    if packed:
        cases = {
            **BAD_PACKS,
            "text from a msgpack client": '42["e"]',
            "connect twice": msgpack.packb({"type": 0, "nsp": "/"}),
        }
    for name, packet in cases.items():
        client = await connected(server, packed=packed)
        application.seen.clear()
        client.send(packet, client.event("echo"))
        await settle()
        assert client.received() == ["close 1009" if len(packet) > 65_536 else "close 1008"], name
        assert application.seen == [("disconnect", Reason.BAD_PACKET)], name
        assert not server.eio.sockets, name
    assert caplog.records == []
    assert server.eio.counters[Reason.BAD_PACKET] == len(cases)


async def test_flood_of_commands_has_one_task() -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server)
    before = len(asyncio.all_tasks())
    peak = 0
    for start in range(0, 3000, 100):
        client.send(*(client.event("slow" if n % 100 == 0 else "echo", n) for n in range(start, start + 100)))
        peak = max(peak, len(asyncio.all_tasks()))
        await asyncio.sleep(0.012)
    await until(lambda: len(application.seen) == 3001)
    assert [entry[1] for entry in application.seen[1:]] == list(range(3000))
    assert peak <= before + 1


async def test_flood_of_pings_costs_no_memory_when_the_peer_does_not_read() -> None:
    application = Recorder()
    server = make_server(application, soft_buffer_bytes=10_000, control_frames=10**9)
    client = await connected(server)
    client.transport.stalled = True
    for _ in range(100):
        client.feed(client_frame(9, b"x" * 125) * 50)
    assert client.transport.buffered < 11_000


async def test_flood_of_connects_and_disconnects() -> None:
    application = Recorder()
    server = make_server(application)
    client = await connected(server)
    for _ in range(100):
        client.send("41", "40")
    await until(lambda: sum(entry[0] == "connect" for entry in application.seen) == 101)
    client.lose()
    await settle()
    assert sum(entry[0] == "disconnect" for entry in application.seen) == 101
    assert not server.connections


async def test_half_a_message_is_bounded() -> None:
    """A megabyte announced, never sent: refused by its header. A legal size, byte by byte: one buffer."""
    server = make_server(Recorder())
    client = MemoryClient(server.eio)
    client.received()
    client.feed(b"\x82\xff\x00\x00\x00\x00\x00\x10\x00\x00")
    assert client.received() == ["close 1009"]
    slow = MemoryClient(server.eio)
    frame = client_frame(1, b"4" + b"x" * 60_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for byte in frame[:-1]:
        slow.feed(bytes((byte,)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


async def test_attachments_before_connect(caplog: pytest.LogCaptureFixture) -> None:
    application = Recorder()
    server = make_server(application, attachments=10)
    client = MemoryClient(server.eio)
    client.received()
    with caplog.at_level(logging.DEBUG):
        client.send('451-["e",{"_placeholder":true,"num":0}]')
    assert client.received() == ["close 1008"]
    assert application.seen == []


async def test_unfinished_attachments_are_bounded() -> None:
    application = Recorder()
    server = make_server(application, attachments=10)
    client = await connected(server)
    client.send('4510-["e"]', b"x" * 40_000, b"x" * 40_000)
    await settle()
    assert client.received() == ["close 1008"]
    assert application.seen[-1] == ("disconnect", Reason.BAD_PACKET)
