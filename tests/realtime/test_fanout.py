"""One room on one node: who gets which frames, and what is kept for those who come back."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from realtime.fanout import RING_EVENTS, RING_MS, Channel, exactly
from realtime.parts import Parts
from realtime.sessions import Session
from realtime.socketio.frames import Frames
from state.commands import ChatSend, ModBan, ModKick, RoomClose, SeatRequest
from state.identity import Actor, Profile
from state.ports import Done
from tests.realtime.hub import Hub
from tests.realtime.people import NOW_MS, Ended, Wire, channel_of, parts_of, session_of

OWNER = Actor("owner", role="owner", present=True)


class Room(NamedTuple):
    """The lounge, followed by one channel."""

    hub: Hub
    parts: Parts
    channel: Channel
    ended: Ended

    async def enter(self, user_id: str, **how: Any) -> tuple[Session, Wire]:
        session, wire = await session_of(self.parts, user_id, **how)
        self.channel.attach(session)
        self.channel.enter(session)
        return session, wire

    async def perform(self, command: Any, actor: Actor = OWNER) -> None:
        answer = self.hub.perform("lounge", actor, command)
        assert isinstance(answer, Done), answer
        await asyncio.sleep(0)  # the stream is heard one turn later

    async def say(self, count: int = 1) -> None:
        for number in range(count):
            await self.perform(ChatSend(text=str(number)))


@pytest.fixture
async def room() -> Room:
    hub, ended = Hub(), Ended()
    hub.create("lounge", seat_mode="request")
    node = hub.node("n1")
    parts = parts_of(node)
    channel = channel_of(parts, ended)
    view: Any = await node.watch("lounge", channel)
    channel.view = view
    return Room(hub, parts, channel, ended)


async def test_everybody_gets_the_same_frames(room: Room) -> None:
    (_, ann), (_, ben) = await room.enter("ann"), await room.enter("ben")
    await room.say(2)
    assert ann.seqs == ben.seqs == [1, 2]
    assert ann.sent[0] is ben.sent[0]
    assert ann.positions == ["e1:1", "e1:2"]


async def test_what_is_for_few_is_passed_over_for_the_others(room: Room) -> None:
    ann, ben, admin = [(await room.enter(name))[1] for name in ("ann", "ben", "owner")]
    moderator = (await room.enter("mod", role="admin"))[1]
    await room.perform(SeatRequest(index=1), Actor("ann", present=True))
    await room.say()
    for wire in (ann, admin, moderator):
        assert wire.names == ["seat:requested", "chat:message"]
    assert ben.names == ["room:updated", "chat:message"]
    for wire in (ann, ben, admin, moderator):
        assert wire.seqs == [1, 2], "everybody counts on without a gap"


async def test_exact_positions_until_the_mark_is_stored(room: Room) -> None:
    (session, ann), (_, ben) = await room.enter("ann"), await room.enter("ben")
    room.channel.exact_from(session, "7-0")
    await room.say()
    room.channel.shared_again(session)
    await room.say()
    assert ann.positions == ["e1:1|7-0", "e1:2"]
    assert ben.positions == ["e1:1", "e1:2"]
    assert ann.seqs == [1, 2]


async def test_who_left_gets_nothing_more(room: Room) -> None:
    session, ann = await room.enter("ann")
    room.channel.exact_from(session, "7-0")
    room.channel.detach(session)
    await room.say()
    assert ann.sent == []
    assert room.channel.sessions == {}


async def test_kicked_and_banned(room: Room) -> None:
    inside, _ = await room.enter("ann")
    outside, _ = await session_of(room.parts, "ann")
    room.channel.attach(outside)
    other, _ = await room.enter("ben")
    room.hub.members["lounge"] = {}
    await room.perform(ModBan(user_id="ann"))
    assert room.ended.reasons == {inside.connection_id: "banned", outside.connection_id: "banned"}
    assert room.channel.excluded_since("ann", 0)
    assert not room.channel.excluded_since("ann", 1)
    assert not room.channel.excluded_since("ben", 0)
    assert other.ended is None


async def test_a_kick_leaves_who_has_not_joined(room: Room) -> None:
    inside, _ = await room.enter("ann")
    outside, _ = await session_of(room.parts, "ann")
    room.channel.attach(outside)
    room.hub.members["lounge"] = {inside.connection_id: Profile("ann")}
    await room.perform(ModKick(user_id="ann"))
    assert room.ended.reasons == {inside.connection_id: "kicked"}


async def test_a_closed_room_ends_all(room: Room) -> None:
    await room.enter("ann")
    await room.enter("ben")
    await room.perform(RoomClose())
    assert set(room.ended.reasons.values()) == {"room_closed"}
    assert len(room.ended.reasons) == 2
    assert room.channel.excluded_since("anybody", 0)


async def test_a_reset_puts_all_outside_until_they_have_a_snapshot(room: Room) -> None:
    (session, ann), (_, ben) = await room.enter("ann"), await room.enter("ben")
    await room.say()
    room.hub.reset("lounge")
    await asyncio.sleep(0)
    assert [one.user_id for one in room.ended.again] == ["ann", "ben"]
    assert room.channel.since("e1", 0) is None
    room.channel.readmit(session)
    await room.say()
    assert ann.positions == ["e1:1", "e1x:1"]
    assert ben.positions == ["e1:1"]


async def test_what_is_at_hand_for_those_who_come_back(room: Room) -> None:
    await room.say(5)
    found = room.channel.since("e1", 2)
    assert found is not None
    assert [sent.recorded.seq for sent in found] == [3, 4, 5]
    assert room.channel.since("e1", 5) == []
    assert room.channel.since("e1", 6) is None, "ahead of us"
    assert room.channel.since("e0", 2) is None
    await room.say(RING_EVENTS)
    assert room.channel.since("e1", 4) is None, "not at hand any more"
    kept = room.channel.since("e1", 5)
    assert kept is not None
    assert len(kept) == RING_EVENTS


async def test_old_frames_are_let_go(room: Room) -> None:
    await room.say(3)
    room.channel.age(NOW_MS)
    await room.say(2)
    room.channel.age(NOW_MS + RING_MS - 1)
    assert room.channel.since("e1", 0) is not None, "not old enough"
    room.channel.age(NOW_MS + RING_MS)
    assert room.channel.since("e1", 2) is None
    assert [sent.recorded.seq for sent in room.channel.since("e1", 3) or ()] == [4, 5]
    room.channel.age(NOW_MS + 2 * RING_MS)
    assert room.channel.since("e1", 4) is None
    assert room.channel.since("e1", 5) == []


async def test_waiting_for_the_stream(room: Room) -> None:
    await room.channel.reached(0, 5)
    waiting = asyncio.create_task(room.channel.reached(2, 5))
    await room.say()
    assert not waiting.done()
    await room.say()
    await asyncio.wait_for(waiting, 5)
    await room.channel.reached(99, 0.01)  # given up in time


async def test_stats_are_told_when_they_have_changed(room: Room) -> None:
    _, ann = await room.enter("ann")
    room.channel.tell_stats(NOW_MS)
    assert ann.names == []
    await room.parts.kernel.audience.join("lounge", "n1.9", Profile("ben"), capacity=10)
    await asyncio.sleep(0)
    for _ in range(2):
        room.channel.tell_stats(NOW_MS)
    assert ann.names.count("room:stats") == 1
    assert ann.sent[-1].position is None


def test_an_exact_position_names_the_inbox() -> None:
    frames = exactly(Frames("chat:message", {"seq": 1}, "e1:1"), "7-0")
    assert frames.data == ["chat:message", {"seq": 1}, "e1:1|7-0"]
