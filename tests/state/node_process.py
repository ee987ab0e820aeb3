"""A node as a process of its own, to be killed or stopped: seats its users and says on standard output what
happens to it.
"""

from __future__ import annotations

import asyncio
import sys

from state.commands import ChatSend, SeatTake
from state.identity import Actor
from state.kernel import Kernel, build_kernel
from state.rejections import Unavailable
from state.settings import Redis, Settings
from tests.contract.nodes import ROOM, join


def _say(word: str) -> None:
    print(word, flush=True)


async def _act(kernel: Kernel, who: Actor, turn: int) -> None:
    try:
        answer = await kernel.rooms.perform(ROOM, who, ChatSend(text=str(turn)))
    except Unavailable:
        _say("unavailable")
    else:
        _say(f"wrote {type(answer).__name__}")


async def run(url: str, name: str, users: list[str]) -> None:
    kernel = build_kernel(url, Settings(redis=Redis(prefix="t")), node=name)
    await kernel.open()
    kernel.audience.on_fenced(lambda: _say("fenced"))
    for index, user in enumerate(users, 1):
        who = await join(kernel, user)
        await kernel.rooms.perform(ROOM, who, SeatTake(index=index))
    _say("ready")
    for turn in range(100_000):
        await asyncio.sleep(0.2)
        await _act(kernel, Actor(users[0]), turn)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], sys.argv[3:]))
