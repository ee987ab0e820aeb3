"""Clients that go on sending when they may not: nobody hears anything of them, whatever they send."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from state import commands
from state.media_commands import RtcCloseProducer
from tests.sfu.node import MediaNode, settings, until
from tests.sfu.voices import Voice, number_of, speaker_of

SILENT_SECONDS = 0.2
"""After so long nothing is heard any more."""
ATTACK_SECONDS = 0.4


class Party:
    """Ada, who will be silenced; Bob, who talks on; Eve, who listens."""

    def __init__(self, node: MediaNode) -> None:
        self.node = node
        self.ada, self.bob, self.eve = Voice("ada"), Voice("bob"), Voice("eve")
        self._talking: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        await self.node.seat("ada", "bob")
        await self.ada.join(self.node, 0, True)
        await self.bob.join(self.node, 0, True)
        await self.eve.join(self.node, 3, False)
        self._talking = [asyncio.create_task(voice.speak_for(60.0)) for voice in (self.ada, self.bob)]
        await self.both_are_heard()

    async def both_are_heard(self) -> None:
        for voice in (self.ada, self.bob):
            before = len(self.eve.memory.of(voice.ssrc))
            await until(lambda: len(self.eve.memory.of(voice.ssrc)) > before + 5, f"{voice.user} is silent")  # noqa: B023

    def heard_last(self, voice: Voice) -> float:
        memory = self.eve.memory
        pairs = zip(memory.packets, memory.moments, strict=True)
        return max((moment for packet, moment in pairs if speaker_of(packet) == voice.ssrc), default=0.0)

    async def attack(self) -> None:
        """With the right keys: what was heard before, under the own name and under Bob's, and what was kept
        back; with no keys: from a stranger's address."""
        own, stranger = list(self.ada.ciphers.values()), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        next_one = self.ada.sent + 1
        forged = [
            self.ada.outbound.protect(self.ada.clear(next_one, ssrc))
            for ssrc in (self.bob.ssrc, self.ada.ssrc ^ 1)
        ]
        for data in (*own[-40:], *self.bob.ciphers.values(), *forged, self.ada.clear(next_one)):
            self.ada.send(data)
            stranger.sendto(data, self.ada.remote.address)
            await asyncio.sleep(0)
        stranger.close()
        await asyncio.sleep(ATTACK_SECONDS)

    async def act(self, command: Any, by: str | None) -> None:
        if by is None:
            await self.node.system(command)
        else:
            await self.node.act(by, command)

    async def is_silenced(self, silence: Awaitable[Any]) -> None:
        """Within the time, and for good, and Bob loses nothing by it."""
        self.ada.sent += 1
        kept_back = self.ada.encrypt(self.ada.clear(self.ada.sent))
        began = time.monotonic()
        await silence
        await asyncio.sleep(SILENT_SECONDS)
        self.ada.send(kept_back)
        await self.attack()
        last = self.heard_last(self.ada) - began
        assert last < SILENT_SECONDS, f"heard {last * 1000:.0f} ms after it was silenced"
        bob = [number_of(packet) for packet in self.eve.memory.of(self.bob.ssrc)]
        assert bob == list(range(bob[0], bob[-1] + 1))
        assert self.eve.memory.damaged == 0

    async def close(self) -> None:
        for task in self._talking:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for voice in (self.ada, self.bob, self.eve):
            voice.close()


@pytest.fixture(params=["python", "native"])
async def party(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Party]:
    node = MediaNode(settings(redis_url, kind=request.param))
    await node.open(workers=1)
    await node.room()
    made = Party(node)
    await made.open()
    yield made
    await made.close()
    await node.close()


ADAS_SEAT = 1
WAYS = (
    (commands.MicSet(True), commands.MicSet(False), "ada"),
    (commands.MicMuteUser("ada", True), commands.MicMuteUser("ada", False), None),
    (commands.SeatMute(ADAS_SEAT, True), commands.SeatMute(ADAS_SEAT, False), None),
    (commands.MarkAway("ada"), commands.MarkBack("ada"), None),
    (commands.SeatLeave(), commands.SeatTake(-1), "ada"),
)


async def test_who_is_muted_away_or_unseated_is_silent_whatever_the_client_sends(party: Party) -> None:
    for silence, restore, by in WAYS:
        await party.is_silenced(party.act(silence, by))
        late = party.ada.sent
        await party.act(restore, by)
        await party.both_are_heard()
        party.ada.send(party.ada.ciphers[late])
        await asyncio.sleep(0.1)
        heard = [number_of(packet) for packet in party.eve.memory.of(party.ada.ssrc)]
        assert late not in heard, "what was said in silence came late"


async def test_who_is_put_out_is_silent_whatever_the_client_sends(party: Party) -> None:
    await party.is_silenced(party.node.system(commands.ModKick("ada")))


async def test_a_closed_producer_is_silent_and_stays_so_when_its_user_is_unseated(party: Party) -> None:
    stage = party.node.workers[0][0].rooms.stage("room")
    assert stage is not None
    assert party.ada.caller is not None
    (producer,) = (producer for producer in stage.producers.values() if producer.user_id == "ada")
    await party.is_silenced(party.node.ask(party.ada.caller, RtcCloseProducer(producer.id)))
    await party.is_silenced(party.node.system(commands.SeatKick("ada")))
