"""Rooms of a node: opened once for all who want them, closed when nobody has come for a while."""

import asyncio
from typing import Any, cast

import pytest

from realtime.channels import LINGER_MS, Channels
from realtime.fanout import Channel
from realtime.tap import Tap
from state.following import Followers
from state.rejections import Unavailable
from tests.realtime.hub import Hub


def make(room_id: str) -> Channel:
    nothing = cast(Any, None)
    return Channel(room_id, nothing, nothing, nothing, Tap())


@pytest.fixture
def hub() -> Hub:
    made = Hub()
    made.create("lounge")
    return made


async def test_many_wait_for_one_opening(hub: Hub) -> None:
    node = hub.node("n1")
    channels = Channels(cast(Followers, node), make)
    found = await asyncio.gather(*(channels.open("lounge") for _ in range(50)))
    assert len(set(map(id, found))) == 1
    assert len(node.listeners["lounge"]) == 1
    assert await channels.open("nowhere") is None
    assert len(channels) == 1


async def test_a_failure_is_for_all_who_waited_and_not_for_the_next(hub: Hub) -> None:
    channels = Channels(cast(Followers, hub.node("n1")), make)
    hub.unavailable = True
    outcomes = await asyncio.gather(*(channels.open("lounge") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    hub.unavailable = False
    assert await channels.open("lounge") is not None


async def test_an_empty_room_lingers_and_is_left(hub: Hub) -> None:
    node = hub.node("n1")
    channels = Channels(cast(Followers, node), make)
    channel = await channels.open("lounge")
    assert channel is not None
    channel.sessions["ann"] = {}
    await channels.close_idle(0)
    await channels.close_idle(10 * LINGER_MS)
    assert channels.get("lounge") is channel, "somebody is there"
    channel.sessions.clear()
    await channels.close_idle(100_000)
    await channels.close_idle(100_000 + LINGER_MS - 1)
    assert channels.get("lounge") is channel
    assert await channels.open("lounge") is channel
    await channels.close_idle(200_000)
    await channels.close_idle(200_000 + LINGER_MS)
    assert channels.get("lounge") is None
    assert not node.listeners
