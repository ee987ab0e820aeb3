"""Rooms on the model of a server: what rarely happens, and must not hurt when it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from state import commands as c
from state import events as e
from state import limits, rooms
from state.identity import SYSTEM, Actor, Profile
from state.inbox import KEPT
from state.kernel import Kernel, real_environment
from state.ports import Done
from state.rejections import Code, Rejection, Unavailable
from state.store import Missing, Stale
from state.transitions import admit, decide
from tests.contract.nodes import ROOM, Watcher, join, node, open_room, until, watch
from tests.model.server import ModelProcess, ModelServer

ANN, BEN, OWNER = Actor("ann"), Actor("ben"), Actor("owner")


@pytest.fixture
def process() -> ModelProcess:
    return ModelProcess(real_environment().now_ms)


@pytest.fixture
async def one(process: ModelProcess) -> AsyncIterator[Kernel]:
    async with node(lambda _name: ModelServer(process), "one") as kernel:
        yield kernel


@pytest.fixture
async def two(process: ModelProcess) -> AsyncIterator[Kernel]:
    async with node(lambda _name: ModelServer(process), "two") as kernel:
        yield kernel


async def test_a_command_that_breaks_the_code_harms_no_neighbour(
    one: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_room(one)

    def brittle(room: Any, command: c.AnyCommand, *rest: Any) -> Any:
        assert not (isinstance(command, c.ChatSend) and command.text == "poison")
        return decide(room, command, *rest)

    monkeypatch.setattr(rooms, "decide", brittle)
    texts = ["a", "poison", "b"]
    answers = await asyncio.gather(
        *(one.rooms.perform(ROOM, ANN, c.ChatSend(text=text)) for text in texts), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Done, AssertionError, Done]
    history = await one.rooms.perform(ROOM, ANN, c.ChatHistory())
    assert isinstance(history, Done)
    assert [message["text"] for message in history.data["messages"]] == ["a", "b"]


async def test_a_mailbox_has_a_bound(one: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    await open_room(one)
    monkeypatch.setattr(limits, "MAILBOX_MAX", 10)
    answers = await asyncio.gather(
        *(one.rooms.perform(ROOM, ANN, c.ChatSend(text=str(n))) for n in range(30)), return_exceptions=True
    )
    assert sum(isinstance(answer, Unavailable) for answer in answers) == 20
    assert sum(isinstance(answer, Done) for answer in answers) == 10


async def test_a_password_is_kept_as_a_hash_only(one: Kernel) -> None:
    await open_room(one)
    watcher = Watcher()
    view = await watch(one, watcher)
    await one.rooms.perform(ROOM, OWNER, c.RoomUpdate(password="open sesame"))
    await until(lambda: view.room.settings.has_password)
    assert "sesame" not in repr(view.room)
    assert admit(view.room, ANN, "open sesame", 0) is None
    assert admit(view.room, ANN, "sesame", 0) == Rejection(Code.PASSWORD_WRONG)


async def test_a_caller_that_gives_up_takes_nothing_from_its_twin(one: Kernel) -> None:
    await open_room(one)
    command = c.ChatSend(text="hi", cid="c1")
    first = asyncio.create_task(one.rooms.perform(ROOM, ANN, command))
    twin = asyncio.create_task(one.rooms.perform(ROOM, ANN, command))
    await asyncio.sleep(0)
    first.cancel()
    assert isinstance(await twin, Done)


async def test_targets_are_looked_up_in_the_audience(one: Kernel) -> None:
    await open_room(one)
    invite = c.SeatInvite(user_id="ann", index=1)
    refused = await one.rooms.perform(ROOM, OWNER, invite)
    assert isinstance(refused, Rejection)
    assert refused.code is Code.TARGET_NOT_IN_ROOM
    await join(one, "ann")
    assert isinstance(await one.rooms.perform(ROOM, OWNER, invite), Done)


async def test_a_defect_of_one_listener_is_its_own(one: Kernel) -> None:
    await open_room(one)
    good, bad = Watcher(), Watcher()
    bad.on_events = None  # type: ignore[assignment]
    await watch(one, bad)
    await watch(one, good)
    await one.rooms.perform(ROOM, ANN, c.ChatSend(text="hi"))
    await until(lambda: len(good.events) == 1)


async def test_the_furthest_copy_wins_and_brings_its_chat(
    process: ModelProcess, one: Kernel, two: Kernel
) -> None:
    await open_room(one)
    near, far = Watcher(), Watcher()
    view = await watch(one, near)
    far_view = await watch(two, far)
    await one.rooms.perform(ROOM, ANN, c.ChatSend(text="first"))
    await until(lambda: view.seq == far_view.seq == 1)
    # One node hears nothing for a while; then the server loses everything.
    one.followers._rooms_by_channel.clear()
    await two.rooms.perform(ROOM, BEN, c.ChatSend(text="second"))
    await until(lambda: far_view.seq == 2)
    assert view.seq == 1
    one.followers._rooms_by_channel[one.keys.channel(ROOM)] = ROOM
    process.replaced(None)
    await until(lambda: near.resets and far.resets)
    assert near.resets[-1] == far.resets[-1]
    assert near.resets[-1][1] == 2
    history = await one.rooms.perform(ROOM, ANN, c.ChatHistory())
    assert isinstance(history, Done)
    assert [message["text"] for message in history.data["messages"]] == ["first", "second"]
    assert view.room == far_view.room
    assert view.chat == far_view.chat


async def test_a_room_that_nobody_has_is_gone(process: ModelProcess, one: Kernel) -> None:
    await open_room(one, "other")
    process.replaced(None)
    assert isinstance(await one.store.claim("other", None, ()), Missing)
    answer = await one.rooms.perform("other", ANN, c.ChatSend(text="hi"))
    assert isinstance(answer, Rejection)
    assert answer.code is Code.ROOM_NOT_FOUND


async def test_who_comes_and_goes_at_once_is_not_mentioned(one: Kernel) -> None:
    await open_room(one)
    watcher = Watcher()
    await watch(one, watcher)
    for _ in range(3):
        one.announcer.joined(ROOM, Profile("ann"), 1)
        one.announcer.left(ROOM, "ann", "left", 0)
    one.announcer.joined(ROOM, Profile("ben"), 1)
    one.announcer.joined(ROOM, Profile("ben"), 1)
    await until(lambda: watcher.events)
    assert [recorded.event for recorded in watcher.events] == [e.MemberJoined(Profile("ben"))]


async def test_letters_that_are_not_kept_any_more(one: Kernel) -> None:
    first = await one.inbox.post("ann", "wallet:updated", {"coins": 0})
    for number in range(KEPT + 150):
        await one.inbox.post("ann", "wallet:updated", {"coins": number})
    assert await one.inbox.since("ann", first) is None
    recent = await one.inbox.since("ann", "0-0")
    assert recent is None


async def test_what_can_not_be_sent_on_the_lossy_lane_is_dropped(
    one: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_words: Any) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(one.server, "publish", away)
    await one.lossy.publish_lossy(ROOM, "audio:levels", {})
    assert one.lossy.dropped == 1


async def test_rooms_that_cannot_agree_are_unavailable(one: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    await open_room(one)
    loaded = await one.rooms.load(ROOM)
    assert loaded is not None

    async def always_late(_change: Any) -> Any:
        return Stale(loaded)

    monkeypatch.setattr(one.store, "commit", always_late)
    with pytest.raises(Unavailable, match="too busy"):
        await one.rooms.perform(ROOM, ANN, c.ChatSend(text="hi"))


async def test_a_wrong_count_is_corrected_and_closed_rooms_leave_the_list(one: Kernel) -> None:
    await open_room(one)
    view = await watch(one, Watcher())
    await one.rooms.perform(ROOM, SYSTEM, c.CorrectOnline(online=7))
    await until(lambda: view.room.online == 7)
    await until(lambda: view.room.online == 0)
    await open_room(one, "closing")
    await one.rooms.perform("closing", SYSTEM, c.RoomClose())
    async with asyncio.timeout(20):
        while "closing" in await one.directory.names(None, 10):
            await asyncio.sleep(0.02)


async def test_closing_answers_what_waits(process: ModelProcess) -> None:
    async with node(lambda _name: ModelServer(process), "last") as kernel:
        await open_room(kernel)
        release = asyncio.Event()

        async def slow(_change: Any) -> Any:
            await release.wait()

        kernel.store.commit = slow  # type: ignore[method-assign, assignment]
        waiting = asyncio.create_task(kernel.rooms.perform(ROOM, ANN, c.ChatSend(text="hi")))
        await asyncio.sleep(0.01)
        await kernel.rooms.close()
        with contextlib.suppress(asyncio.CancelledError), pytest.raises(Unavailable):
            await waiting
