"""Who is in a room, under leases: counts, pages, nodes that die, are stopped, or forget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from state import events as e
from state.audience import Joined
from state.commands import MicMuteUser, SeatTake
from state.identity import SYSTEM, Actor, Profile
from state.kernel import Kernel
from state.rejections import Code, Rejection, Unavailable
from state.room import can_publish, seat_of
from tests.contract.nodes import ROOM, ServerFactory, Watcher, join, node, open_room, until, watch

Nodes = tuple[Kernel, Kernel]


@pytest.fixture
async def nodes(make_server: ServerFactory) -> AsyncIterator[Nodes]:
    async with node(make_server, "one") as one, node(make_server, "two") as two:
        yield one, two


async def test_a_user_is_announced_with_its_first_and_last_connection(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    watcher = Watcher()
    view = await watch(two, watcher)
    first = await one.audience.join(ROOM, "one.1", Profile("ann", name="Ann"), capacity=10)
    second = await two.audience.join(ROOM, "two.1", Profile("ann", name="Ann"), capacity=10)
    assert (first, second) == (Joined(True, 1), Joined(False, 1))
    await until(lambda: watcher.seen(e.MemberJoined))
    await one.audience.leave(ROOM, "one.1")
    assert await two.audience.online(ROOM) == 1
    await two.audience.leave(ROOM, "two.1", "kicked")
    await until(lambda: watcher.seen(e.MemberLeft))
    assert watcher.seen(e.MemberJoined) == [e.MemberJoined(Profile("ann", name="Ann"))]
    assert watcher.seen(e.MemberLeft) == [e.MemberLeft("ann", "kicked")]
    assert view.room.online == await one.audience.online(ROOM) == 0


async def test_who_joins_finds_itself_counted(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    view = await watch(one, Watcher())
    for number in range(5):
        await join(one, f"u{number}")
        assert view.snapshot(Actor("u"))["online"] == number + 1
    await asyncio.gather(*(join(two, f"v{number}") for number in range(50)))
    assert await two.audience.online(ROOM) == 55


async def test_a_full_room_lets_in_only_who_is_in(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    assert isinstance(await one.audience.join(ROOM, "one.1", Profile("ann"), capacity=1), Joined)
    full = await two.audience.join(ROOM, "two.1", Profile("ben"), capacity=1)
    assert isinstance(full, Rejection)
    assert full.code is Code.ROOM_FULL
    assert isinstance(await two.audience.join(ROOM, "two.2", Profile("ann"), capacity=1), Joined)


async def test_members_come_in_pages(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    for number in range(25):
        await join(nodes[number % 2], f"u{number:02}")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await two.audience.members(ROOM, cursor, 10)
        assert page.total == 25
        seen += [profile.user_id for profile in page.members]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"u{number:02}" for number in range(25)]
    member = await one.audience.member(ROOM, "u07")
    assert member == Profile("u07")
    assert await one.audience.member(ROOM, "nobody") is None


async def test_joins_in_a_big_room_are_announced_together(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    watcher = Watcher()
    view = await watch(two, watcher)
    await asyncio.gather(*(join(one, f"u{number}") for number in range(400)))
    await until(lambda: view.room.online == 400)
    assert watcher.seen(e.MemberBatch)
    assert len(watcher.events) < 400


async def test_a_dropped_user_is_away_and_back(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    watcher = Watcher()
    view = await watch(two, watcher)
    ann = await join(one, "ann")
    await one.rooms.perform(ROOM, ann, SeatTake(index=1))
    await one.rooms.perform(ROOM, SYSTEM, MicMuteUser(user_id="ann", muted=True))
    await one.audience.drop(ROOM, "one.ann1")
    await until(lambda: view.room.seats[1].away_since is not None)
    await join(two, "ann")
    await until(lambda: view.room.seats[1].away_since is None)
    assert not can_publish(view.room, "ann")
    await two.audience.drop(ROOM, "two.ann1")
    await until(lambda: seat_of(view.room, "ann") is None)
    assert watcher.seen(e.SeatChanged)[-1].cause == "timeout"


async def test_leaving_frees_the_seat_at_once(make_server: ServerFactory) -> None:
    """Not when the time is over for which who was dropped keeps it."""
    async with node(make_server, "one", seat_kept_seconds=600.0) as one:
        await open_room(one)
        view = await watch(one, Watcher())
        ann = await join(one, "ann")
        await one.rooms.perform(ROOM, ann, SeatTake(index=1))
        await one.audience.leave(ROOM, "one.ann1")
        await until(lambda: seat_of(view.room, "ann") is None)


async def test_a_node_that_falls_silent_is_given_up_once(nodes: Nodes, make_server: ServerFactory) -> None:
    one, two = nodes
    await open_room(one)
    watcher = Watcher()
    view = await watch(one, watcher)
    async with node(make_server, "three") as three:
        ann = await join(three, "ann")
        await join(three, "ben")
        await join(two, "ben")
        await three.rooms.perform(ROOM, ann, SeatTake(index=1))
        await three.lease.close()  # it goes on, but is not heard any more
        await until(lambda: one.reaper.reaped + two.reaper.reaped == 1)
        await until(lambda: view.room.seats[1].away_since is not None)
        await until(lambda: watcher.seen(e.MemberLeft))
        assert watcher.seen(e.MemberLeft) == [e.MemberLeft("ann", "lost")]
        assert await one.audience.online(ROOM) == 1
        # Whatever it still tries is refused by the room itself.
        three.lease.is_held = lambda: True  # type: ignore[method-assign]
        fenced: list[int] = []
        three.audience.on_fenced(lambda: fenced.append(1))
        with pytest.raises(Unavailable):
            await three.rooms.perform(ROOM, ann, SeatTake(index=2))
        assert fenced == [1]


async def test_a_node_whose_lease_was_lost_before_it_died_leaves_no_ghost(
    nodes: Nodes, make_server: ServerFactory
) -> None:
    """The server forgets the lease and the node's rooms, and the node dies before it can say them again."""
    one, two = nodes
    await open_room(one)
    async with node(make_server, "three", heartbeat_seconds=10.0) as three:
        who = await join(three, "ann")
        await three.rooms.perform(ROOM, who, SeatTake(index=1))
        holder = f"three:{three.lease.token}"
        await one.server.execute("ZREM", one.keys.leases, holder)
        await one.server.execute("DEL", one.keys.rooms_of("three", three.lease.token))
        assert await one.audience.online(ROOM) == 1
        await until(lambda: one.reaper.reaped + two.reaper.reaped == 1)
        assert await one.audience.online(ROOM) == 0
        room = await one.rooms.load(ROOM)
        assert room is not None
        assert room.seats[1].away_since is not None


async def test_a_node_that_was_stopped_does_not_trust_its_lease(make_server: ServerFactory) -> None:
    async with node(make_server, "one", lease_seconds=1.0, heartbeat_seconds=0.2) as one:
        await open_room(one)
        await one.lease.close()
        await until(lambda: not one.lease.is_held())
        with pytest.raises(Unavailable):
            await one.rooms.perform(ROOM, Actor("ann"), SeatTake(index=1))
        with pytest.raises(Unavailable):
            await join(one, "ann")


async def test_a_fenced_node_begins_again(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    await join(two, "ann")
    token = two.lease.token
    fenced: list[int] = []
    two.audience.on_fenced(lambda: fenced.append(1))
    await two.lease.close()
    await until(lambda: one.reaper.reaped == 1)
    await two.lease.renew()
    assert fenced == [1]
    assert two.lease.token > token
    assert two.audience.connections(ROOM) == {}
    await join(two, "ann", 2)
    assert await one.audience.online(ROOM) == 1
    assert isinstance(await two.rooms.perform(ROOM, Actor("ann"), SeatTake(index=1)), object)


async def test_what_the_server_forgot_is_said_again(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    await join(two, "ann")
    members = one.keys.members(ROOM)
    for key in (members, one.keys.leases, one.keys.held(ROOM, "two", two.lease.token)):
        await one.server.execute("DEL", key)
    await one.server.execute("DEL", one.keys.counts(ROOM))
    await two.lease.renew()
    await until(two.lease.is_held)
    async with asyncio.timeout(20):
        while await one.audience.online(ROOM) != 1:
            await asyncio.sleep(0.01)
