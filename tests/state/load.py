"""Users that act all the time on several nodes, and what they have seen."""

from __future__ import annotations

import asyncio
from types import TracebackType

from state.commands import ChatSend, SeatLeave, SeatTake
from state.following import RoomView
from state.identity import Actor
from state.kernel import Kernel
from state.ports import Done
from state.rejections import Unavailable
from tests.contract.nodes import ROOM, Watcher, join, open_room, watch
from tests.lived import Lived

PATIENCE_SECONDS = 30.0


class Load:
    """`async with Load(nodes)`: users act until the end, whatever happens to the servers."""

    def __init__(self, nodes: tuple[Kernel, ...], users: int = 24) -> None:
        self.nodes = nodes
        self.users = users
        self.watchers = [Watcher() for _ in nodes]
        self.views: list[RoomView] = []
        self.done = 0
        # all times are those of this clock
        self.clock = Lived()
        self.refused_at = 0.0
        self.done_at = 0.0
        self.slowest = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Load:
        await self.clock.__aenter__()
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
        await self.clock.__aexit__()

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        self._tasks.clear()

    async def _act(self, kernel: Kernel, who: Actor) -> None:
        turn = 0
        while not self._stopping:
            turn += 1
            for command in (SeatTake(index=-1), ChatSend(text=f"{turn}"), SeatLeave()):
                started = self.clock.seconds
                try:
                    answer = await kernel.rooms.perform(ROOM, who, command)
                except Unavailable:
                    self.refused_at = self.clock.seconds
                    await asyncio.sleep(0.02)
                else:
                    if isinstance(answer, Done):
                        self.done += 1
                        self.done_at = self.clock.seconds
                self.slowest = max(self.slowest, self.clock.seconds - started)
            await asyncio.sleep(0.005)

    async def progress(self, commands: int = 50) -> float:
        """Wait until this many more commands were done; how long that took."""
        started, goal = self.clock.seconds, self.done + commands
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.done < goal:
                await asyncio.sleep(0.01)
        return self.clock.seconds - started

    async def agree(self) -> float:
        """After the end: every node has what the store has, and nobody saw anything out of order; how long it
        took until then."""
        await self.stop()
        store, started = self.nodes[0].store, self.clock.seconds
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                loaded = await store.load(ROOM)
                rooms = [view.room for view in self.views]
                if all(room == getattr(loaded, "room", None) for room in rooms):
                    break
                await asyncio.sleep(0.02)
        took = self.clock.seconds - started
        for watcher, view in zip(self.watchers, self.views, strict=True):
            assert watcher.faults == []
            assert watcher.position == (view.epoch, view.seq)
        sitting = [seat.user.user_id for seat in self.views[0].room.seats if seat.user is not None]
        assert len(sitting) == len(set(sitting))
        return took
