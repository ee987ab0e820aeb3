"""One room that two nodes, as processes of their own, write to as fast as they can."""

from __future__ import annotations

import asyncio

import msgspec

from state.events import ChatMessage
from state.kernel import build_kernel
from state.settings import Redis, Settings
from tests.contract.crowd import TURNS
from tests.contract.nodes import ROOM, open_room
from tests.state.node_process import CROWD, Seen
from tests.state.processes import hear, node_process, tell


async def test_two_processes_with_64_commands_in_flight_each(redis_url: str) -> None:
    """Both see one order, every command is answered, and none has its effect twice."""
    kernel = build_kernel(redis_url, Settings(redis=Redis(prefix="t")), node="looker")
    await kernel.open()
    await open_room(kernel)
    async with (
        node_process(redis_url, "crowd-0") as one,
        node_process(redis_url, "crowd-1") as two,
    ):
        for process in (one, two):
            await tell(process, "go")
        await asyncio.gather(hear(one, "done"), hear(two, "done"))
        room = await kernel.rooms.load(ROOM)
        assert room is not None
        seen = []
        for process in (one, two):
            await tell(process, str(room.seq))
            line = (await hear(process, "seen"))[-1]
            seen.append(msgspec.json.decode(line.removeprefix("seen "), type=Seen))
    await kernel.close()
    assert seen[0].faults == seen[1].faults == []
    assert seen[0].events == seen[1].events
    assert [recorded.seq for recorded in seen[0].events] == list(range(1, room.seq + 1))
    texts = [recorded.event.text for recorded in seen[0].events if isinstance(recorded.event, ChatMessage)]
    assert len(texts) == 2 * CROWD * TURNS
    assert sorted(texts) == sorted(seen[0].said + seen[1].said)
