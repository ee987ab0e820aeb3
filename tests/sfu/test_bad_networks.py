"""Whole clients behind a bad network: what arrives is heard, whole, in its place, from the right speaker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.sfu.node import MediaNode, settings, until
from tests.sfu.relay import Weather
from tests.sfu.voices import Memory, Voice, number_of, speaker_of

SECONDS = 5.0
STEADY = 50
"""From this number on everybody has a slot, and is heard from beginning to end."""


@pytest.fixture(params=["python", "native"])
async def node(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[MediaNode]:
    made = MediaNode(settings(redis_url, kind=request.param))
    await made.open(workers=1)
    await made.room()
    yield made
    await made.close()


async def talk(node: MediaNode, takes_nack: bool) -> tuple[list[Voice], Voice]:
    """Two speakers behind bad networks, and a listener with a good one."""
    speakers = [Voice(name, takes_nack) for name in ("ada", "bob")]
    listener = Voice("eve")
    await node.seat("ada", "bob")
    await asyncio.gather(*(speaker.join(node, 0, True, Weather()) for speaker in speakers))
    await listener.join(node, 3, False)
    await asyncio.gather(*(speaker.speak_for(SECONDS) for speaker in speakers))
    return speakers, listener


def expected(speaker: Voice) -> list[int]:
    assert speaker.relay is not None
    numbers = [number for number in speaker.relay.passed if number > STEADY]
    return list(dict.fromkeys(numbers))  # of packets that came twice the first counts


def check_places(memory: Memory) -> None:
    """Every slot carries one speaker, and each packet has the place in it that its number says."""
    places: dict[int, set[tuple[int | None, int]]] = {}
    for packet in memory.packets:
        if speaker_of(packet) is not None and number_of(packet) > STEADY:
            place = (speaker_of(packet), (packet.sequence - number_of(packet)) & 0xFFFF)
            places.setdefault(packet.ssrc, set()).add(place)
    assert len(places) == 2
    assert all(len(found) == 1 for found in places.values()), places


def heard(memory: Memory, speaker: Voice) -> list[tuple[int, bytes]]:
    packets = [(number_of(packet), packet.payload) for packet in memory.of(speaker.ssrc)]
    return [(number, payload) for number, payload in packets if number > STEADY]


async def settled(memory: Memory, speakers: list[Voice]) -> None:
    for speaker in speakers:
        await until(
            lambda speaker=speaker: len(heard(memory, speaker)) >= len(expected(speaker)),  # type: ignore[misc]
            "packets are missing",
        )
    check_places(memory)
    assert memory.damaged == 0
    for speaker in speakers:
        assert heard(memory, speaker) == [(number, speaker.said[number]) for number in expected(speaker)]


async def test_loss_jitter_and_reordering_add_no_loss_of_ours(node: MediaNode) -> None:
    speakers, listener = await talk(node, takes_nack=False)
    await settled(listener.memory, speakers)
    for speaker in speakers:
        arrived = expected(speaker)
        assert 0.8 < len(arrived) / (SECONDS * 50 - STEADY) < 0.98
        assert arrived != sorted(arrived)
        speaker.close()
    listener.close()


async def test_what_is_lost_is_asked_for_and_comes_again(node: MediaNode) -> None:
    speakers, listener = await talk(node, takes_nack=True)
    await settled(listener.memory, speakers)
    for speaker in speakers:
        assert speaker.relay is not None
        assert speaker.relay.lost > 10
        assert len(expected(speaker)) >= 0.98 * (SECONDS * 50 - STEADY)
        speaker.close()
    listener.close()
