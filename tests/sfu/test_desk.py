"""The desk of a worker with real aiortc clients, without Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sfu.connections import ClientTransport, MediaProducer
from sfu.desk import Desk
from sfu.dtls import Certificate
from sfu.engine import EngineOptions
from sfu.stage import Stage
from sfu.switchboard import Place, Switchboard
from state import media_commands as commands
from state.identity import Actor
from state.ports import Answer, Caller, Done
from state.rejections import Code, Rejection
from tests.sfu.clients import AiortcPeer


class OneRoom:
    """A room without a stream: the test says who may speak."""

    def __init__(self, switchboard: Switchboard) -> None:
        self.only = Stage("room", switchboard.engine, self.slots_changed, self.levels_heard)
        self.seated: set[str] = set()
        self.slots: dict[str, list[str | None]] = {}
        self.levels: list[tuple[list[tuple[str, int]], str | None]] = []
        self.told: list[tuple[str, bool]] = []

    async def open(self, room_id: str) -> Stage | None:
        return self.only if room_id == "room" else None

    def stage(self, room_id: str) -> Stage | None:
        return self.only

    def is_seated(self, room_id: str, user_id: str) -> bool:
        return user_id in self.seated

    def told_producer(self, producer: MediaProducer, room_id: str, added: bool) -> None:
        self.told.append((producer.user_id, added))

    def slots_changed(self, transports: list[ClientTransport], slots: list[str | None]) -> None:
        for transport in transports:
            self.slots[transport.user_id] = slots

    def levels_heard(self, room_id: str, levels: list[tuple[str, int]], active: str | None) -> None:
        self.levels.append((levels, active))

    def allow(self, *users: str) -> None:
        self.only.set_speakers(frozenset(users))


class House:
    """A worker without Redis."""

    def __init__(self, engine: str) -> None:
        place = Place("127.0.0.1", engine=engine)
        self.switchboard = Switchboard(place, Certificate.generateCertificate(), EngineOptions())
        self.rooms = OneRoom(self.switchboard)
        self.desk = Desk(self.switchboard, self.rooms)
        self.switchboard.tickers.append(self.tick)
        self.peers: list[AiortcPeer] = []

    def tick(self, now: float) -> None:
        for level in self.switchboard.engine.levels():
            self.rooms.only.hear(level, now)
        self.rooms.only.tick(now)

    async def ask(self, user: str, command: Any, room: str = "room") -> Answer:
        caller = Caller(f"node.{user}", Actor(user, "member"), room)
        return await self.desk.perform(caller, command)

    async def offer(self, user: str, sdp: str) -> str:
        answer = await self.ask(user, commands.RtcOffer(sdp))
        assert isinstance(answer, Done), answer
        return str(answer.data["sdp"])

    async def join(self, user: str, **options: Any) -> AiortcPeer:
        peer = AiortcPeer(**options)
        self.peers.append(peer)
        await peer.join(lambda sdp: self.offer(user, sdp))
        return peer


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House("python")
    await made.switchboard.start()
    yield made
    for peer in made.peers:
        await peer.close()
    await made.switchboard.stop()


async def test_two_aiortc_clients_hear_each_other(house: House) -> None:
    house.rooms.allow("ada", "bob")
    ada, bob = await house.join("ada"), await house.join("bob")
    await ada.hears()
    await bob.hears()
    assert house.rooms.slots["ada"] == ["bob", None]
    assert house.rooms.slots["bob"] == ["ada", None]
    assert house.rooms.levels[-1][1] in ("ada", "bob")


async def test_a_mute_reaches_the_way_in(house: House) -> None:
    house.rooms.allow("ada")
    await house.join("ada", slots=0)
    bob = await house.join("bob", mic=False)
    await bob.hears()
    house.rooms.allow()
    answer = await house.ask("ada", commands.RtcStats())
    assert isinstance(answer, Done)
    producer = answer.data["transports"][0]["producers"][0]
    assert producer["can_publish"] is False
    house.rooms.allow("ada")
    await bob.hears()


async def test_what_is_not_there_is_refused(house: House) -> None:
    cases: list[tuple[Any, Code]] = [
        (commands.RtcConnectTransport("x", {"fingerprints": []}), Code.RTC_NOT_FOUND),
        (commands.RtcCloseConsumer("x"), Code.RTC_NOT_FOUND),
        (commands.RtcCloseProducer("x"), Code.RTC_NOT_FOUND),
        (commands.RtcRestartIce("x"), Code.RTC_NOT_FOUND),
        (commands.RtcOffer("hello"), Code.RTC_UNSUPPORTED),
    ]
    for command, code in cases:
        answer = await house.ask("ada", command)
        assert isinstance(answer, Rejection)
        assert answer.code == code
    answer = await house.ask("ada", commands.RtcCapabilities(), room="nowhere")
    assert isinstance(answer, Rejection)
    assert answer.code == Code.ROOM_NOT_FOUND
    assert house.desk.sessions == {}
