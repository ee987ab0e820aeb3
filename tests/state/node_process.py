"""A node as a process of its own, which says on standard output what happens to it.

It seats its users and lets the first one talk, to be killed or stopped; or, named `crowd-N`, it lets 64 users
act at once as soon as it reads a line, and says what they said, in the order in which it saw it.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from state.commands import ChatSend, SeatTake
from state.events import Recorded
from state.identity import Actor
from state.kernel import Kernel, build_kernel
from state.rejections import Unavailable
from state.settings import Redis, Settings
from tests.contract.crowd import act
from tests.contract.nodes import ROOM, Watcher, join, until, watch

CROWD = 64


class Seen(msgspec.Struct):
    """What a crowd's users said, and the room's events as its node saw them."""

    said: list[str]
    faults: list[str]
    events: list[Recorded]


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


async def crowd(url: str, name: str) -> None:
    kernel = build_kernel(url, Settings(redis=Redis(prefix="t")), node=name)
    await kernel.open()
    watcher = Watcher()
    await watch(kernel, watcher)
    _say("ready")
    first = CROWD * int(name.removeprefix("crowd-"))
    await asyncio.to_thread(sys.stdin.readline)
    said = await act(kernel, range(first, first + CROWD))
    _say("done")
    last = int(await asyncio.to_thread(sys.stdin.readline))
    await until(lambda: watcher.position is not None and watcher.position[1] >= last, 60)
    _say("seen " + msgspec.json.encode(Seen(said, watcher.faults, watcher.events)).decode())


if __name__ == "__main__":
    if sys.argv[2].startswith("crowd-"):
        asyncio.run(crowd(sys.argv[1], sys.argv[2]))
        sys.exit()
    asyncio.run(run(sys.argv[1], sys.argv[2], sys.argv[3:]))
