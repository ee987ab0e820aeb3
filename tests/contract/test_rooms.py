"""Rooms on every kind of server: one order for all, answers once, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from state import commands as c
from state import events as e
from state.commands import ChatHistory, ChatSend, MicSet, SeatLeave, SeatTake
from state.identity import SYSTEM, Actor
from state.kernel import Kernel
from state.ports import Done
from state.rejections import Code, Rejection
from state.room import seat_of
from state.store import Loaded
from tests.contract.crowd import act
from tests.contract.nodes import ROOM, ServerFactory, Watcher, join, node, open_room, until, watch

Nodes = tuple[Kernel, Kernel]
ANN, BEN = Actor("ann"), Actor("ben")


@pytest.fixture
async def nodes(make_server: ServerFactory) -> AsyncIterator[Nodes]:
    async with node(make_server, "one") as one, node(make_server, "two") as two:
        yield one, two


async def test_a_room_is_opened_once(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    again = await two.rooms.create(ROOM, "other", e.Settings())
    assert isinstance(again, Rejection)
    assert again.code is Code.ROOM_EXISTS


async def test_an_unknown_room(nodes: Nodes) -> None:
    one, _ = nodes
    answer = await one.rooms.perform("nowhere", ANN, SeatTake(index=1))
    assert isinstance(answer, Rejection)
    assert answer.code is Code.ROOM_NOT_FOUND
    assert await one.followers.watch("nowhere", Watcher()) is None
    assert await one.rooms.load("nowhere") is None


async def test_what_one_node_does_every_node_hears(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    watchers = (Watcher(), Watcher())
    views = [await watch(kernel, watcher) for kernel, watcher in zip(nodes, watchers, strict=True)]
    answer = await one.rooms.perform(ROOM, ANN, SeatTake(index=1))
    assert isinstance(answer, Done)
    assert answer.seq == 1
    await two.rooms.perform(ROOM, BEN, SeatTake(index=2))
    await until(lambda: all(len(watcher.events) == 2 for watcher in watchers))
    assert watchers[0].events == watchers[1].events
    assert views[0].room == views[1].room
    loaded = await one.store.load(ROOM)
    assert isinstance(loaded, Loaded)
    assert loaded.room == views[0].room


async def test_a_repeated_command_id_gets_the_first_answer(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    first = await one.rooms.perform(ROOM, ANN, ChatSend(text="hi", cid="c1"))
    again = await two.rooms.perform(ROOM, ANN, ChatSend(text="other", cid="c1"))
    assert first == again
    other_user = await two.rooms.perform(ROOM, BEN, ChatSend(text="hi", cid="c1"))
    assert isinstance(other_user, Done)
    assert other_user.seq == 2


async def test_a_remembered_refusal_stays_one(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    await one.rooms.perform(ROOM, ANN, SeatTake(index=1))
    refused = await one.rooms.perform(ROOM, BEN, SeatTake(index=1, cid="c1"))
    await one.rooms.perform(ROOM, ANN, SeatLeave())
    assert await two.rooms.perform(ROOM, BEN, SeatTake(index=1, cid="c1")) == refused
    assert isinstance(await two.rooms.perform(ROOM, BEN, SeatTake(index=1, cid="c2")), Done)


async def test_twins_in_flight_have_one_effect(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    answers = await asyncio.gather(
        *(kernel.rooms.perform(ROOM, ANN, ChatSend(text="hi", cid="c1")) for kernel in (one, two) * 5)
    )
    assert all(answer == answers[0] for answer in answers)
    room = await one.rooms.load(ROOM)
    assert room is not None
    assert room.seq == 1


async def test_a_stale_copy_refuses_nothing(nodes: Nodes) -> None:
    """A node that wrote long ago decides on what is, not on what it remembers."""
    one, two = nodes
    await open_room(one)
    await one.rooms.perform(ROOM, ANN, SeatTake(index=1))
    await two.rooms.perform(ROOM, ANN, SeatLeave())
    assert isinstance(await one.rooms.perform(ROOM, BEN, SeatTake(index=1)), Done)
    assert isinstance(await one.rooms.perform(ROOM, ANN, MicSet(muted=True)), Rejection)


async def test_a_hot_room_on_two_nodes(nodes: Nodes) -> None:
    """64 commands in flight on each: one order, every answer, no command twice."""
    one, _two = nodes
    await open_room(one)
    watchers = (Watcher(), Watcher())
    for kernel, watcher in zip(nodes, watchers, strict=True):
        await watch(kernel, watcher)
    said = await asyncio.gather(*(act(kernel, range(number, 128, 2)) for number, kernel in enumerate(nodes)))
    room = (await one.store.load(ROOM)).room  # type: ignore[union-attr]
    await until(lambda: all(watcher.position == (room.epoch, room.seq) for watcher in watchers))
    assert watchers[0].events == watchers[1].events
    texts = [event.text for event in watchers[0].seen(e.ChatMessage)]
    assert sorted(texts) == sorted(said[0] + said[1])
    assert [recorded.seq for recorded in watchers[0].events] == list(range(1, room.seq + 1))


async def test_a_busy_room_starves_no_node(make_server: ServerFactory) -> None:
    """Whoever came too late a few times is the next: no commit is tried more often than that."""
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(node(make_server, f"n{number}")) for number in range(6)]
        await open_room(crowd[0])

        async def write(kernel: Kernel, number: int) -> None:
            for turn in range(8):
                answer = await kernel.rooms.perform(ROOM, Actor(f"u{number}"), ChatSend(text=str(turn)))
                assert isinstance(answer, Done)

        for kernel in crowd:
            kernel.rooms.attempts_of_commits = []
        await asyncio.gather(*(write(kernel, n) for n in range(10) for kernel in crowd))
        room = await crowd[0].rooms.load(ROOM)
        assert room is not None
        assert room.seq == 6 * 10 * 8
        tries = [tried for kernel in crowd for tried in kernel.rooms.attempts_of_commits or ()]
        assert max(tries) <= 12


async def test_events_since_a_position(nodes: Nodes) -> None:
    one, two = nodes
    room = await open_room(one)
    for number in range(10):
        await one.rooms.perform(ROOM, ANN, ChatSend(text=str(number)))
    events = await two.rooms.events_since(ROOM, room.epoch, 4)
    assert events is not None
    assert [recorded.seq for recorded in events] == [5, 6, 7, 8, 9, 10]
    assert await two.rooms.events_since(ROOM, room.epoch, 10) == []
    assert await two.rooms.events_since(ROOM, room.epoch, 11) is None
    assert await two.rooms.events_since(ROOM, "other", 4) is None


async def test_a_position_within_a_batch(nodes: Nodes) -> None:
    one, _ = nodes
    room = await open_room(one)
    await asyncio.gather(*(one.rooms.perform(ROOM, ANN, ChatSend(text=str(n))) for n in range(50)))
    for seq in (0, 7, 31, 49):
        events = await one.rooms.events_since(ROOM, room.epoch, seq)
        assert events is not None
        assert [recorded.seq for recorded in events] == list(range(seq + 1, 51))


async def test_chat_is_kept_and_deleted(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    watcher = Watcher()
    view = await watch(two, watcher)
    ids = []
    for number in range(60):
        answer = await one.rooms.perform(ROOM, ANN, ChatSend(text=str(number)))
        assert isinstance(answer, Done)
        ids.append(answer.data["message_id"])
    refused = await one.rooms.perform(ROOM, BEN, c.ChatDelete(message_id=ids[30]))
    assert isinstance(refused, Rejection)
    assert isinstance(await one.rooms.perform(ROOM, ANN, c.ChatDelete(message_id=ids[30])), Done)
    assert isinstance(await one.rooms.perform(ROOM, ANN, c.ChatDelete(message_id=ids[30])), Rejection)
    page = await two.rooms.perform(ROOM, BEN, ChatHistory(before_seq=51, limit=30))
    assert isinstance(page, Done)
    texts = [message["text"] for message in page.data["messages"]]
    assert texts == [str(n) for n in range(19, 50) if n != 30]
    assert (await two.rooms.perform(ROOM, BEN, ChatHistory(before_seq=0))).data == {"messages": []}  # type: ignore[union-attr]
    await until(lambda: view.seq == 61)
    followed = two.rooms.snapshot(ROOM, BEN)
    fresh = (await one.store.load(ROOM, 50)).chat  # type: ignore[union-attr]
    assert (await followed)["chat"][-1]["text"] == "59"  # type: ignore[index]
    assert view.chat == fresh[-len(view.chat) :]


async def test_a_closed_room_says_so_and_may_be_opened_anew(nodes: Nodes) -> None:
    one, two = nodes
    before = await open_room(one)
    await one.rooms.perform(ROOM, SYSTEM, c.RoomClose(reason="end"))
    answer = await two.rooms.perform(ROOM, ANN, SeatTake(index=1))
    assert isinstance(answer, Rejection)
    assert answer.code is Code.ROOM_CLOSED
    assert (await two.directory.page(None, 10)).rooms == []
    after = await open_room(two)
    assert after.epoch > before.epoch
    assert isinstance(await one.rooms.perform(ROOM, ANN, SeatTake(index=1)), Done)


async def test_time_driven_work_is_done_once(nodes: Nodes) -> None:
    one, _two = nodes
    await open_room(one)
    watchers = (Watcher(), Watcher())
    for kernel, watcher in zip(nodes, watchers, strict=True):
        await watch(kernel, watcher)
    await join(one, "ann")
    await one.rooms.perform(ROOM, SYSTEM, c.SeatInvite(user_id="ann", index=1, timeout_ms=1_000))
    await until(lambda: all(watcher.seen(e.SeatInviteResolved) for watcher in watchers))
    await asyncio.sleep(0.2)
    assert [event.result for event in watchers[0].seen(e.SeatInviteResolved)] == ["expired"]


async def test_the_lossy_lane_has_no_place_in_the_order(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    watcher = Watcher()
    view = await watch(two, watcher)
    await one.lossy.publish_lossy(ROOM, "audio:levels", {"levels": [["ann", 3]], "active": "ann"})
    await until(lambda: watcher.lossy)
    assert watcher.lossy == [("audio:levels", {"levels": [["ann", 3]], "active": "ann"})]
    assert view.seq == 0


async def test_a_room_without_listeners_is_not_followed(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    watchers = (Watcher(), Watcher())
    for watcher in watchers:
        await watch(two, watcher)
    await two.followers.unwatch(ROOM, watchers[0])
    await one.rooms.perform(ROOM, ANN, SeatTake(index=1))
    await until(lambda: len(watchers[1].events) == 1)
    assert watchers[0].events == []
    await two.followers.unwatch(ROOM, watchers[1])
    assert two.followers.view(ROOM) is None
    await one.rooms.perform(ROOM, ANN, SeatLeave())
    view = await watch(two, watchers[0])
    assert view.seq == 2


async def test_watching_while_others_write_misses_nothing(nodes: Nodes) -> None:
    one, two = nodes
    await open_room(one)
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await one.rooms.perform(ROOM, ANN, ChatSend(text="x"))

    writer = asyncio.create_task(write())
    for _ in range(20):
        watcher = Watcher()
        view = await watch(two, watcher)
        start = view.seq
        await until(lambda view=view, start=start: view.seq > start + 3)  # type: ignore[misc]
        await two.followers.unwatch(ROOM, watcher)
    stop.set()
    await writer


async def test_signals_and_letters_reach_their_node(nodes: Nodes) -> None:
    one, two = nodes
    heard: list[tuple[str, str | None]] = []
    two.signals.handle("*", lambda name, connection, body: heard.append((name, connection)))
    watcher = Watcher()
    position = await two.inbox.follow("ann", watcher)
    await one.inbox.post("ann", "wallet:updated", {"coins": 1})
    await one.inbox.post("ann", "wallet:updated", {"coins": 2})
    await until(lambda: len(watcher.letters) == 2)
    assert [letter.body["coins"] for letter in watcher.letters] == [1, 2]
    letters = await one.inbox.since("ann", position)
    assert letters == watcher.letters
    assert await one.inbox.since("ann", watcher.letters[0].position) == watcher.letters[1:]
    await one.signals.to_connection("two.7", "sys:kicked", {})
    await one.signals.to_node("two", "hello", {})
    await until(lambda: len(heard) == 2)
    assert heard == [("sys:kicked", "two.7"), ("hello", None)]


async def test_a_report_is_kept_for_the_operators(nodes: Nodes) -> None:
    one, _ = nodes
    await open_room(one)
    answer = await one.rooms.perform(ROOM, ANN, c.ModReport(reason="rude", user_id="ben"))
    assert isinstance(answer, Done)
    entries = await one.server.execute("XRANGE", one.keys.reports, "-", "+")
    assert answer.data["report_id"].encode() in entries[0][1]


async def test_the_directory_pages_live_rooms(nodes: Nodes) -> None:
    one, two = nodes
    for number in range(5):
        await open_room(one, f"r{number}")
    await join(one, "ann", room_id="r3")
    await one.rooms.perform("r1", SYSTEM, c.RoomClose())
    page = await two.directory.page(None, 3)
    rest = await two.directory.page(page.next_cursor, 3)
    assert [one.room.room_id for one in (*page.rooms, *rest.rooms)] == ["r0", "r2", "r3", "r4"]
    assert [one.online for one in (*page.rooms, *rest.rooms)] == [0, 0, 1, 0]
    assert rest.next_cursor is None


async def test_a_seat_of_nobody_is_found_by_the_sweep(nodes: Nodes) -> None:
    """A seat taken in the name of a user that is not there (or whose node died between two steps)."""
    one, two = nodes
    await open_room(one)
    await one.rooms.perform(ROOM, ANN, SeatTake(index=1))
    watcher = Watcher()
    view = await watch(two, watcher)
    await until(lambda: seat_of(view.room, "ann") is None)
    assert [event.cause for event in watcher.seen(e.SeatChanged)] == ["update", "timeout"]
