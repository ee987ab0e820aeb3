"""In and out of a room: the answer to a join and the events behind it fit together."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from realtime.channels import Channels
from realtime.doorway import Doorway
from realtime.letters import Letters
from realtime.membership import Membership
from realtime.parts import Parts
from realtime.sessions import Session
from state.commands import ChatSend, RoomJoin, RoomMembers, RoomSync
from state.identity import Actor
from state.ports import Done
from state.rejections import Code, Rejection, Unavailable
from tests.realtime.hub import Hub
from tests.realtime.people import Ended, channel_of, parts_of, session_of
from tests.realtime.served import now_ms, token

OWNER = Actor("owner", role="owner", present=True)


class House(NamedTuple):
    hub: Hub
    parts: Parts
    membership: Membership

    def say(self, text: str) -> None:
        assert isinstance(self.hub.perform("lounge", OWNER, ChatSend(text=text)), Done)

    async def join(self, session: Session, **fields: Any) -> dict[str, Any]:
        await self.membership.join(session, RoomJoin(**fields), 1)
        wire: Any = session.connection
        answer: dict[str, Any] = wire.answers[-1]
        return answer


@pytest.fixture
async def house() -> House:
    hub = Hub()
    hub.create("lounge")
    hub.create("attic", capacity=1)
    node = hub.node("n1")
    parts = parts_of(node, now_ms)
    channels = Channels(parts.kernel.followers, lambda room_id: channel_of(parts, Ended(), room_id))
    doorway = Doorway(parts, channels, Letters(parts), lambda _connection, _reason: None)

    def answer(session: Session, _ack_id: int | None, reply: dict[str, Any]) -> None:
        session.connection.acknowledge(1, reply)

    return House(hub, parts, Membership(parts, channels, doorway, answer))


async def test_the_answer_and_the_first_event_behind_it(house: House) -> None:
    session, wire = await session_of(house.parts, "ann")
    joining = asyncio.create_task(house.join(session))
    while not joining.done():  # the room talks all the while
        house.say("x")
        await asyncio.sleep(0)
    answer = joining.result()
    assert answer["ok"], answer
    assert not answer["data"]["resumed"]
    house.say("y")
    await asyncio.sleep(0)
    first = answer["data"]["seq"] + 1
    assert wire.seqs == list(range(first, first + len(wire.sent)))
    assert wire.sent[-1].data[1]["text"] == "y"
    assert (session.record.joined, session.record.seq) == (True, first - 1)


async def test_what_was_missed_comes_with_the_answer(house: House) -> None:
    session, _ = await session_of(house.parts, "ann")
    await house.join(session)
    epoch, seq = session.record.epoch, session.record.seq
    for text in "abc":
        house.say(text)
    await asyncio.sleep(0)
    answer = await house.join(session, epoch=epoch, last_seq=seq)
    assert answer["data"]["resumed"]
    assert [body["text"] for name, body in answer["data"]["events"] if name == "chat:message"] == [
        "a",
        "b",
        "c",
    ]
    stranger = await house.join(session, epoch="another", last_seq=seq)
    assert "snapshot" in stranger["data"]


async def test_joining_twice_counts_once(house: House) -> None:
    session, wire = await session_of(house.parts, "ann")
    for _ in range(2):
        await house.join(session)
    house.say("x")
    await asyncio.sleep(0)
    assert wire.names.count("chat:message") == 1
    assert len(set(wire.seqs)) == len(wire.seqs)
    page = await house.membership.members(session, RoomMembers())
    assert isinstance(page, Done)
    assert page.data["total"] == 1


async def test_a_full_room(house: House) -> None:
    first, _ = await session_of(house.parts, "ann", room_id="attic")
    second, wire = await session_of(house.parts, "ben", room_id="attic")
    assert (await house.join(first))["ok"]
    assert (await house.join(second))["error"]["code"] == Code.ROOM_FULL
    assert second.member_of is None
    assert wire.sent == []


async def test_who_goes_while_it_joins_is_not_left_inside(house: House) -> None:
    session, wire = await session_of(house.parts, "ann")
    joining = asyncio.create_task(house.join(session))
    await asyncio.sleep(0)
    wire.closed = True
    assert not (await joining)["ok"]
    assert house.hub.members["lounge"] == {}


async def test_a_join_that_can_not_be_stored_is_none(house: House) -> None:
    session, _ = await session_of(house.parts, "ann")
    joining = asyncio.create_task(house.join(session))
    while session.member_of is None:
        await asyncio.sleep(0)
    house.hub.unavailable = True
    with pytest.raises(Unavailable):
        await joining
    assert not session.joined
    assert not session.record.joined
    house.hub.unavailable = False
    assert (await house.join(session))["ok"]


async def test_a_token_for_another_room_moves_there(house: House) -> None:
    session, _ = await session_of(house.parts, "ann")
    await house.join(session)
    assert (await house.join(session, token=token("ann", "attic")))["ok"]
    assert house.hub.members["lounge"] == {}
    assert [one.user_id for one in house.hub.members["attic"].values()] == ["ann"]
    assert (await house.join(session, token=token("ben", "attic")))["error"]["code"] == Code.TOKEN_INVALID


async def test_outside_there_is_nothing_to_do(house: House) -> None:
    session, wire = await session_of(house.parts, "ann")
    for outcome in (
        await house.membership.leave(session),
        await house.membership.members(session, RoomMembers()),
    ):
        assert isinstance(outcome, Rejection)
        assert outcome.code == Code.NOT_IN_ROOM
    await house.membership.sync(session, RoomSync(epoch="e1", last_seq=0), 1)
    assert wire.answers[-1]["error"]["code"] == Code.NOT_IN_ROOM


async def test_leaving(house: House) -> None:
    session, wire = await session_of(house.parts, "ann")
    await house.join(session)
    assert isinstance(await house.membership.leave(session), Done)
    house.say("x")
    await asyncio.sleep(0)
    assert "chat:message" not in wire.names
    assert house.hub.members["lounge"] == {}
    assert not session.record.joined
