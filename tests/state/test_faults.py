"""Servers that forget, fall back, hang and die under load. Times are those of a default configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from state.commands import ChatSend, SeatTake
from state.identity import Actor
from state.kernel import Kernel, build_kernel
from state.ports import Done
from state.rejections import Unavailable
from state.settings import Redis, Rooms, Settings
from tests.contract.nodes import ROOM, Watcher, join, open_room, until, watch
from tests.contract.servers import ServerProcess
from tests.lived import Lived
from tests.state.load import Load

RESTORED_SECONDS = 5.0


@pytest.fixture
def valkey() -> Iterator[ServerProcess]:
    server = ServerProcess()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
async def nodes(valkey: ServerProcess) -> AsyncIterator[tuple[Kernel, Kernel]]:
    settings = Settings(redis=Redis(prefix="t"))
    one, two = (build_kernel(valkey.url, settings, node=name) for name in ("one", "two"))
    await one.open()
    await two.open()
    yield one, two
    await one.close()
    await two.close()


def _snapshot(valkey: ServerProcess) -> None:
    """What the server will come back with after it dies."""
    with valkey.client() as client:
        client.save()


async def _available(kernel: Kernel, seconds: float = 3.0) -> None:
    async with Lived() as clock, asyncio.timeout(10 * seconds):
        while True:
            try:
                await kernel.rooms.load("nowhere")
            except Unavailable:
                await asyncio.sleep(0.02)
            else:
                assert clock.seconds < seconds
                return


async def test_flushed_under_load(valkey: ServerProcess, nodes: tuple[Kernel, Kernel]) -> None:
    async with Load(nodes) as load:
        await load.progress()
        furthest = max(view.seq for view in load.views)
        with valkey.client() as client:
            client.flushall()
        flushed_at = load.clock.seconds
        await until(lambda: all(watcher.resets for watcher in load.watchers))
        assert load.clock.seconds - flushed_at < RESTORED_SECONDS
        assert await load.progress() < RESTORED_SECONDS
        assert min(epoch_seq[1] for watcher in load.watchers for epoch_seq in watcher.resets) >= furthest
        await load.agree()
        assert await nodes[0].audience.online(ROOM) == load.users
        assert [one.room.room_id for one in (await nodes[0].directory.page(None, 10)).rooms] == [ROOM]


async def test_restarted_without_its_data(valkey: ServerProcess, nodes: tuple[Kernel, Kernel]) -> None:
    async with Load(nodes) as load:
        await load.progress()
        before = load.views[0].epoch
        valkey.kill()
        killed_at = load.clock.seconds
        valkey.start()
        await until(lambda: all(view.epoch > before for view in load.views))
        await load.progress()
        assert load.clock.seconds - killed_at < RESTORED_SECONDS + 1
        await load.agree()
        assert load.slowest < 1.2


async def test_a_failover_that_loses_writes(valkey: ServerProcess, nodes: tuple[Kernel, Kernel]) -> None:
    async with Load(nodes) as load:
        await load.progress()
        _snapshot(valkey)
        kept = load.views[0].seq
        await load.progress(200)
        valkey.kill()
        furthest = max(view.seq for view in load.views)
        before = load.views[0].epoch
        assert furthest > kept
        valkey.start()
        started_at = load.clock.seconds
        await until(lambda: all(view.epoch > before for view in load.views))
        assert load.clock.seconds - started_at < RESTORED_SECONDS
        await load.progress()
        for watcher in load.watchers:
            assert watcher.resets[0][1] >= furthest
        await load.agree()


async def test_an_unfollowed_room_goes_on_from_what_is_left(
    valkey: ServerProcess, nodes: tuple[Kernel, Kernel]
) -> None:
    one, two = nodes
    await open_room(one)
    await one.rooms.perform(ROOM, Actor("ann"), SeatTake(index=1))
    _snapshot(valkey)
    valkey.kill()
    valkey.start()
    async with Lived() as clock, asyncio.timeout(4 * RESTORED_SECONDS):
        while True:
            try:
                answer = await two.rooms.perform(ROOM, Actor("ben"), SeatTake(index=2))
            except Unavailable:
                await asyncio.sleep(0.1)
                continue
            break
        assert clock.seconds < RESTORED_SECONDS
    assert isinstance(answer, Done)
    room = await two.rooms.load(ROOM)
    assert room is not None
    assert [seat.index for seat in room.seats if seat.user is not None] == [1, 2]


async def test_paused_and_resumed(valkey: ServerProcess, nodes: tuple[Kernel, Kernel]) -> None:
    async with Load(nodes) as load:
        await load.progress()
        epoch = load.views[0].epoch
        valkey.pause()
        paused_at = load.clock.seconds
        load.slowest = 0.0
        await asyncio.sleep(Rooms().lease_seconds + 1)  # all leases end, and nobody is given up
        assert load.refused_at > paused_at
        assert load.done_at < paused_at + 0.1
        assert load.slowest < 1.05
        assert load.views[0].snapshot(Actor("u1"))["room_id"] == ROOM  # reads go on
        assert all(len(box.waiting) <= load.users for box in nodes[0].rooms._mailboxes.values())
        valkey.resume()
        assert await load.progress() < 3
        assert {view.epoch for view in load.views} == {epoch}
        await load.agree()
        assert nodes[0].reaper.reaped + nodes[1].reaper.reaped == 0


async def test_gone_and_back(valkey: ServerProcess, nodes: tuple[Kernel, Kernel]) -> None:
    one, _ = nodes
    await open_room(one)
    valkey.kill()
    async with Lived() as clock:
        with pytest.raises(Unavailable):
            await one.rooms.perform(ROOM, Actor("ann"), ChatSend(text="hi"))
        with pytest.raises(Unavailable):
            await join(one, "ann")
        assert clock.seconds < 1.0
    valkey.start()
    await _available(one)
    await open_room(one, "another")
    assert isinstance(await one.rooms.perform("another", Actor("ann"), ChatSend(text="hi")), Done)


async def test_a_node_that_starts_before_its_server(valkey: ServerProcess) -> None:
    valkey.kill()
    kernel = build_kernel(valkey.url, Settings(), node="early")
    await kernel.open()
    with pytest.raises(Unavailable):
        await kernel.rooms.load(ROOM)
    valkey.start()
    await _available(kernel)
    await until(kernel.lease.is_held)
    await open_room(kernel)
    await watch(kernel, Watcher())
    await kernel.close()


async def test_a_deaf_subscription_is_noticed(valkey: ServerProcess, nodes: tuple[Kernel, Kernel]) -> None:
    """The server drops the subscriber's connection; what was missed meanwhile comes in order."""
    async with Load(nodes) as load:
        await load.progress()
        for _ in range(5):
            with valkey.client() as client:
                client.client_kill_filter(_type="pubsub")
            assert await load.progress() < 3
        assert await load.agree() < 2
        assert all(watcher.resets == [] for watcher in load.watchers)
