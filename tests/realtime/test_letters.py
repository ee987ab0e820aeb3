"""Private events on their way from the inbox to each connection of a user."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from realtime.letters import Letters, order
from realtime.parts import Parts
from state.rejections import Unavailable
from tests.realtime.hub import Hub
from tests.realtime.people import Ended, channel_of, parts_of, session_of


@pytest.fixture
def hub() -> Hub:
    made = Hub()
    made.create("lounge")
    return made


async def post(hub: Hub, parts: Parts, coins: int) -> None:
    await parts.kernel.inbox.post("ann", "wallet:updated", {"coins": coins})
    await asyncio.sleep(0)


def test_positions_have_an_order() -> None:
    assert order("") < order("0-1") < order("9-2") < order("10-1") < order("10-12")


async def test_every_connection_of_the_user_gets_it(hub: Hub) -> None:
    parts = parts_of(hub.node("n1"))
    letters = Letters(parts)
    phone, first = await session_of(parts, "ann")
    _, second = await session_of(parts, "ann")
    _, other = await session_of(parts, "ben")
    await letters.follow(phone.user)
    await post(hub, parts, 5)
    assert first.positions == second.positions == [":0|1"]
    assert other.sent == []


async def test_what_a_session_was_sent_is_not_sent_again(hub: Hub) -> None:
    parts = parts_of(hub.node("n1"))
    letters = Letters(parts)
    session, wire = await session_of(parts, "ann")
    await letters.follow(session.user)
    await post(hub, parts, 5)
    found = await parts.kernel.inbox.since("ann", "0")
    assert found is not None
    letters.deliver(session.user, found)
    assert len(wire.sent) == 1
    assert session.user.inbox_position == "1"
    assert await letters.since(session.user, "1") == []


async def test_who_has_ended_gets_nothing(hub: Hub) -> None:
    parts = parts_of(hub.node("n1"))
    letters = Letters(parts)
    session, wire = await session_of(parts, "ann")
    await letters.follow(session.user)
    session.ended = "kicked"
    await post(hub, parts, 5)
    assert wire.sent == []


async def test_many_connections_share_one_subscription(hub: Hub) -> None:
    node = hub.node("n1")
    parts = parts_of(node)
    letters = Letters(parts)
    session, _ = await session_of(parts, "ann")
    await asyncio.gather(*(letters.follow(session.user) for _ in range(5)))
    assert list(node.readers) == ["ann"]
    await letters.unfollow(session.user)
    assert not node.readers


async def test_a_failure_is_for_all_who_waited_and_not_for_the_next(hub: Hub) -> None:
    parts = parts_of(hub.node("n1"))
    letters = Letters(parts)
    session, _ = await session_of(parts, "ann")
    hub.unavailable = True
    outcomes = await asyncio.gather(*(letters.follow(session.user) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [Unavailable] * 3
    hub.unavailable = False
    await letters.follow(session.user)


async def test_frames_are_exact_until_the_mark_is_stored(hub: Hub) -> None:
    node = hub.node("n1")
    parts = parts_of(node)
    letters, channel = Letters(parts), channel_of(parts, Ended())
    view: Any = await node.watch("lounge", channel)
    channel.view = view
    session, wire = await session_of(parts, "ann")
    channel.attach(session)
    channel.enter(session)
    await letters.follow(session.user)
    hub_was_cut = hub.reach

    async def never() -> None:
        raise Unavailable("the hub is cut off")

    hub.reach = never  # type: ignore[method-assign]
    await post(hub, parts, 5)
    await parts.background.settle()
    assert wire.positions == ["e1:0|1"]
    assert len(channel.group) == 0, "the mark is not stored: its frames stay exact"
    hub.reach = hub_was_cut  # type: ignore[method-assign]
    await post(hub, parts, 6)
    await parts.background.settle()
    assert len(channel.group) == 1
    assert [mark.inbox for mark in session.record.marks] == ["2"]
