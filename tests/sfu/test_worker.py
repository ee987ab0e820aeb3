"""A worker behind Redis: signalling, rights from the room's stream, dead workers."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest

from sfu import rtp
from sfu.worker import Worker
from state import commands
from state.events import MemberLeft, Recorded
from state.identity import SYSTEM
from state.media_commands import (
    RtcCapabilities,
    RtcCreateTransport,
    RtcForward,
    RtcProduce,
    RtcStats,
    RtcStopForward,
)
from state.ports import Caller, Done
from state.rejections import Code, Rejection, Unavailable
from tests.lived import Lived
from tests.sfu.node import MediaNode, settings, until


@pytest.fixture
async def node(redis_url: str) -> AsyncIterator[MediaNode]:
    made = MediaNode(settings(redis_url))
    await made.open(workers=1)
    await made.room()
    yield made
    await made.close()


async def test_two_users_talk_and_are_told(node: MediaNode) -> None:
    await node.seat("ada", "bob")
    ada = await node.join("ada")
    bob = await node.join("bob")
    await ada.hears()
    await bob.hears()
    slots = [body["slots"] for name, _, body in node.told if name == "rtc:slots"]
    assert ["bob", None] in slots
    assert ["ada", None] in slots


def rights(worker: Worker) -> set[bool]:
    stage = worker.rooms.stage("room")
    return {producer.is_allowed for producer in stage.producers.values()} if stage else set()


def rights_are(worker: Worker, wanted: set[bool]) -> bool:
    return rights(worker) == wanted


async def test_a_mute_is_heard_within_200_ms(node: MediaNode) -> None:
    await node.seat("ada")
    await node.join("ada", slots=0)
    bob = await node.join("bob", mic=False)
    await bob.hears()
    worker = node.workers[0][0]
    for command in (
        commands.MicSet(True),
        commands.MicSet(False),
        commands.SeatMute(index=1, muted=True),
        commands.SeatMute(index=1, muted=False),
        commands.MicMuteUser("ada", True),
        commands.MicMuteUser("ada", False),
        commands.SeatKick("ada"),
    ):
        allowed = not getattr(command, "muted", True)
        async with Lived() as clock:
            if isinstance(command, commands.MicSet):
                await node.act("ada", command)
            else:
                await node.system(command)
            await until(partial(rights_are, worker, {allowed}), str(command))
            assert clock.seconds < 0.2
    stage = worker.rooms.stage("room")
    assert stage is not None
    (producer,) = stage.producers.values()
    before = worker.switchboard.engine.producer_stats(producer.handle)
    await asyncio.sleep(0.3)
    after = worker.switchboard.engine.producer_stats(producer.handle)
    assert after.refused - before.refused >= 10
    assert after.bytes == before.bytes


async def test_who_is_put_out_loses_its_transports(node: MediaNode) -> None:
    await node.seat("ada")
    await node.join("ada", slots=1)
    worker = node.workers[0][0]
    assert len(worker.switchboard.transports) == 1
    await node.system(commands.ModKick("ada"))
    await until(lambda: not worker.switchboard.transports, "the transport stays")


async def test_a_producer_needs_a_seat(node: MediaNode) -> None:
    caller = node.caller("eve")
    made = await node.ask(caller, RtcCreateTransport("send"))
    assert isinstance(made, Done)
    opus = {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2}
    parameters = {"codecs": [opus], "encodings": [{"ssrc": 5}], "rtcp": {"cname": "x"}}
    produce = RtcProduce(made.data["id"], "audio", parameters)
    refused = await node.ask(caller, produce)
    assert isinstance(refused, Rejection)
    assert refused.code == Code.NOT_SEATED
    await node.seat("eve")
    assert isinstance(await node.ask(caller, produce), Done)


async def test_a_room_that_is_not_there(node: MediaNode) -> None:
    answer = await node.ask(node.caller("ada", "nowhere"), RtcCapabilities())
    assert isinstance(answer, Rejection)
    assert answer.code == Code.ROOM_NOT_FOUND


async def test_without_a_worker_it_is_unavailable(redis_url: str) -> None:
    made = MediaNode(settings(redis_url))
    await made.open()
    await made.room()
    with pytest.raises(Unavailable):
        await made.ask(made.caller("ada"), RtcCapabilities())
    assert await made.service.check() is not None
    await made.close()


async def test_rooms_are_spread_and_both_nodes_agree(redis_url: str) -> None:
    one, two = MediaNode(settings(redis_url)), MediaNode(settings(redis_url))
    await one.open(workers=1)
    await two.open(workers=1)
    holders = []
    for number in range(6):
        room_id = f"room{number}"
        await one.room(room_id)
        first = await one.ask(one.caller("ada", room_id), RtcCapabilities())
        second = await two.ask(two.caller("bob", room_id), RtcStats())
        assert isinstance(first, Done)
        assert isinstance(second, Done)
        placed = await one.placement.worker_of(room_id)
        assert placed.worker == (await two.placement.worker_of(room_id)).worker
        holders.append(placed.worker)
        await asyncio.sleep(0.6)
    assert len(set(holders)) == 2
    await one.close()
    await two.close()


async def test_a_killed_worker_costs_less_than_five_seconds(redis_url: str) -> None:
    node = MediaNode(settings(redis_url, workers=1))
    await node.open(children=1)
    try:
        await node.room()
        await node.seat("ada")
        await node.join("ada", slots=0)
        bob = await node.join("bob", mic=False)
        await bob.hears()
        assert node.supervisor is not None
        process = node.supervisor.children[0]
        started = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: [t[0] for t in node.told].count("rtc:moved") == 2, "clients were not told")
        again = None
        while again is None:
            try:
                again = await node.join("ada", slots=0)
            except Unavailable:
                assert time.monotonic() - started < 5
                await asyncio.sleep(0.1)
        bob = await node.join("bob", mic=False)
        await bob.hears(1)
        assert time.monotonic() - started < 5
    finally:
        await node.close()


async def test_an_operator_sees_all_transports_speakers_first(node: MediaNode) -> None:
    operator = Caller("service", SYSTEM, "room")
    nobody = await node.ask(operator, RtcStats())
    assert isinstance(nobody, Done)
    assert nobody.data == {"transports": [], "total": 0}
    assert await node.placement.holder_of("room") is None
    await node.seat("ada")
    bob = await node.join("bob", mic=False)
    await node.join("ada", slots=0)
    await bob.hears()
    told = await node.ask(operator, RtcStats())
    assert isinstance(told, Done)
    assert [transport["user_id"] for transport in told.data["transports"]] == ["ada", "bob"]
    assert told.data["total"] == 2
    assert told.data["transports"][0]["producers"][0]["packets"] > 0
    own = await node.ask(node.caller("bob"), RtcStats())
    assert isinstance(own, Done)
    assert [transport["user_id"] for transport in own.data["transports"]] == ["bob"]


async def test_a_voice_is_forwarded_to_a_recording_tool(node: MediaNode) -> None:
    """It follows the user: the stream goes on when the voice comes back on another transport."""
    tool = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tool.bind(("127.0.0.1", 0))
    tool.setblocking(False)
    loop = asyncio.get_running_loop()
    forward = RtcForward("ada", tool.getsockname()[1])
    refused = await node.ask(node.caller("ada"), forward)
    assert isinstance(refused, Rejection)
    assert refused.code == Code.FORBIDDEN
    service = Caller("service", SYSTEM, "room")
    made = await node.ask(service, forward)
    assert isinstance(made, Done)
    await node.seat("ada")
    packets: list[rtp.Packet] = []
    for _ in range(2):
        caller = node.caller("ada")
        peer = await node.join("ada", caller, slots=0)
        for _ in range(10):
            packet = rtp.parse(await asyncio.wait_for(loop.sock_recv(tool, 2048), 5))
            if packet is not None and packet.payload_type == made.data["payload_type"]:
                packets.append(packet)
        await node.service.hang_up(caller)
        await peer.close()
    assert {packet.ssrc for packet in packets} == {made.data["ssrc"]}
    steps = [(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(packets)]
    assert max(steps) < 100
    assert isinstance(await node.ask(service, RtcStopForward(made.data["forward_id"])), Done)
    again = await node.ask(service, RtcStopForward(made.data["forward_id"]))
    assert isinstance(again, Rejection)
    tool.close()


async def test_who_leaves_the_room_hears_no_more(node: MediaNode) -> None:
    await node.join("ada", slots=1, mic=False)
    worker = node.workers[0][0]
    assert len(worker.switchboard.transports) == 1
    followed = worker.rooms.followed("room")
    assert followed is not None
    assert followed.view is not None
    event = Recorded("epoch", 1, 1, None, MemberLeft("ada", "disconnected"))
    followed.on_events(followed.view, [event])
    assert len(worker.switchboard.transports) == 1
    followed.on_events(followed.view, [Recorded("epoch", 2, 1, None, MemberLeft("ada", "left"))])
    await until(lambda: not worker.switchboard.transports, "the transport stays")
