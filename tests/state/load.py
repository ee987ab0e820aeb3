"""Users that act all the time on several nodes, and what they have seen."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from state.commands import ChatSend, SeatLeave, SeatTake
from state.following import RoomView
from state.identity import Actor
from state.kernel import Kernel
from state.ports import Done
from state.rejections import Unavailable
from tests.contract.nodes import ROOM, Watcher, join, open_room, watch


class Load:
    """`async with Load(nodes)`: users act until the end, whatever happens to the servers."""

    def __init__(self, nodes: tuple[Kernel, ...], users: int = 24) -> None:
        self.nodes = nodes
        self.users = users
        self.watchers = [Watcher() for _ in nodes]
        self.views: list[RoomView] = []
        self.done = 0
        self.refused_at = 0.0
        self.done_at = 0.0
        self.slowest = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Load:
        await open_room(self.nodes[0])
        for kernel, watcher in zip(self.nodes, self.watchers, strict=True):
            self.views.append(await watch(kernel, watcher))
        for number in range(self.users):
            kernel = self.nodes[number % len(self.nodes)]
            await join(kernel, f"u{number}")
            self._tasks.append(asyncio.create_task(self._act(kernel, Actor(f"u{number}"))))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def _act(self, kernel: Kernel, who: Actor) -> None:
        turn = 0
        while not self._stopping:
            turn += 1
            for command in (SeatTake(index=-1), ChatSend(text=f"{turn}"), SeatLeave()):
                started = time.monotonic()
                try:
                    answer = await kernel.rooms.perform(ROOM, who, command)
                except Unavailable:
                    self.refused_at = time.monotonic()
                    await asyncio.sleep(0.02)
                else:
                    if isinstance(answer, Done):
                        self.done += 1
                        self.done_at = time.monotonic()
                self.slowest = max(self.slowest, time.monotonic() - started)
            await asyncio.sleep(0.005)

    async def progress(self, seconds: float, commands: int = 50) -> float:
        """Wait until this many more commands were done; how long that took."""
        started, goal = time.monotonic(), self.done + commands
        async with asyncio.timeout(seconds):
            while self.done < goal:
                await asyncio.sleep(0.01)
        return time.monotonic() - started

    async def agree(self, seconds: float = 5.0) -> None:
        """After the end: every node has what the store has, and nobody saw anything out of order."""
        await self.stop()
        store = self.nodes[0].store
        async with asyncio.timeout(seconds):
            while True:
                loaded = await store.load(ROOM)
                rooms = [view.room for view in self.views]
                if all(room == getattr(loaded, "room", None) for room in rooms):
                    break
                await asyncio.sleep(0.02)
        for watcher, view in zip(self.watchers, self.views, strict=True):
            assert watcher.faults == []
            assert watcher.position == (view.epoch, view.seq)
        sitting = [seat.user.user_id for seat in self.views[0].room.seats if seat.user is not None]
        assert len(sitting) == len(set(sitting))
