"""Users of one node who all act at once in one room, each with one command in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from state.commands import ChatSend, SeatLeave, SeatTake
from state.identity import Actor
from state.kernel import Kernel
from state.ports import Done
from tests.contract.nodes import ROOM

TURNS = 20


async def act(kernel: Kernel, users: Iterable[int]) -> list[str]:
    """Everybody talks, twice with the same command id, and takes a seat and leaves it; what was said."""
    said: list[str] = []

    async def user(number: int) -> None:
        who = Actor(f"u{number}")
        for turn in range(TURNS):
            text = f"{number}/{turn}"
            command = ChatSend(text=text, cid=f"c{number}-{turn}")
            answers = await asyncio.gather(*(kernel.rooms.perform(ROOM, who, command) for _ in range(2)))
            assert isinstance(answers[0], Done)
            assert answers[0] == answers[1]
            said.append(text)
            await kernel.rooms.perform(ROOM, who, SeatTake(index=-1))
            await kernel.rooms.perform(ROOM, who, SeatLeave())

    await asyncio.gather(*map(user, users))
    return said
