"""Nodes that are killed or stopped while they hold seats, as processes of their own."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest

from state import events as e
from state.commands import MicMuteUser, RoomMembers
from state.identity import SYSTEM
from state.kernel import Kernel, build_kernel
from state.room import can_publish
from state.settings import Redis, Rooms, Settings
from tests.contract.nodes import ROOM, Watcher, join, open_room, until, watch
from tests.state.processes import hear, node_process

pytestmark = pytest.mark.timeout(300)

AWAY_SECONDS = 10.0
GRACE_SECONDS = 4.0
STOPPED_SECONDS = 30.0


@pytest.fixture
async def one(redis_url: str) -> AsyncIterator[Kernel]:
    settings = Settings(redis=Redis(prefix="t"), rooms=Rooms(seat_kept_seconds=GRACE_SECONDS))
    kernel = build_kernel(redis_url, settings, node="one")
    await kernel.open()
    yield kernel
    await kernel.close()


async def test_a_killed_nodes_users_are_away_then_gone_unless_they_return(
    one: Kernel, redis_url: str
) -> None:
    await open_room(one)
    watcher = Watcher()
    view = await watch(one, watcher)
    async with node_process(redis_url, "two", "ann", "ben") as process:
        await one.rooms.perform(ROOM, SYSTEM, MicMuteUser(user_id="ann", muted=True))
        await until(lambda: view.room.seats[2].user is not None)
        process.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        await until(
            lambda: all(view.room.seats[index].away_since is not None for index in (1, 2)), AWAY_SECONDS
        )
        assert time.monotonic() - killed_at < AWAY_SECONDS
        await join(one, "ann")
        await until(lambda: view.room.seats[1].away_since is None)
        assert view.room.seats[1].user is not None
        assert not can_publish(view.room, "ann")
        await until(lambda: view.room.seats[2].user is None, GRACE_SECONDS + 20)
        assert view.room.seats[1].user is not None
    assert watcher.seen(e.SeatChanged)[-1].cause == "timeout"
    assert [event.user_id for event in watcher.seen(e.MemberLeft)] == ["ann", "ben"]
    page = await one.audience.members(ROOM, None, RoomMembers().limit)
    assert [profile.user_id for profile in page.members] == ["ann"]


async def test_a_stopped_node_is_fenced_and_writes_nothing(one: Kernel, redis_url: str) -> None:
    await open_room(one)
    watcher = Watcher()
    view = await watch(one, watcher)
    async with node_process(redis_url, "two", "ann") as process:
        await hear(process, "wrote Done")
        process.send_signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        await until(lambda: one.reaper.reaped == 1)
        await until(lambda: view.room.seats[1].user is None, GRACE_SECONDS + 20)
        await asyncio.sleep(STOPPED_SECONDS - (time.monotonic() - stopped_at))
        written = len(watcher.seen(e.ChatMessage))
        process.send_signal(signal.SIGCONT)
        said = await hear(process, "fenced")
        # It learns at once; what it tried before was refused, and until then nothing came through.
        assert len(watcher.seen(e.ChatMessage)) - written == sum(
            word == "wrote Done" for word in said[said.index("fenced") :]
        )
    assert await one.audience.online(ROOM) == 0
