"""Kernels as nodes have them, with short times, and listeners that remember."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from state.events import Event, Recorded
from state.events import Settings as RoomSettings
from state.following import RoomView
from state.identity import Actor, Profile
from state.inbox import Letter
from state.kernel import Kernel, real_environment
from state.rejections import Rejection
from state.room import Room
from state.server import Server
from state.settings import Redis, Rooms, Settings

ROOM = "hall"
ServerFactory = Callable[[str], Server]


def quick_settings(**rooms: Any) -> Settings:
    times: dict[str, Any] = {
        "seat_kept_seconds": 1.0,
        "lease_seconds": 3.0,
        "heartbeat_seconds": 0.4,
        "probe_seconds": 0.3,
        "restore_wait_seconds": 0.8,
        "sweep_seconds": 0.5,
    }
    return Settings(redis=Redis(prefix="t"), rooms=Rooms(**(times | rooms)))


class Watcher:
    """A listener as a gateway is one: keeps what it was told, and notes what is missing in `faults`."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self.resets: list[tuple[str, int]] = []
        self.lossy: list[tuple[str, dict[str, Any]]] = []
        self.letters: list[Letter] = []
        self.position: tuple[str, int] | None = None
        self.faults: list[str] = []

    def on_events(self, view: RoomView, events: list[Recorded]) -> None:
        for recorded in events:
            if self.position is not None:
                expected = (self.position[0], self.position[1] + 1)
                if (recorded.epoch, recorded.seq) != expected:
                    self.faults.append(f"{recorded.epoch}:{recorded.seq} after {self.position}")
            self.position = (recorded.epoch, recorded.seq)
        self.events += events
        if self.position != (view.epoch, view.seq):
            self.faults.append(f"the view stands elsewhere than at {self.position}")

    def on_reset(self, view: RoomView) -> None:
        self.position = (view.epoch, view.seq)
        self.resets.append(self.position)

    def on_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        self.lossy.append((name, body))

    def on_letters(self, user_id: str, letters: list[Letter]) -> None:
        self.letters += letters

    def seen(self, kind: type[Event]) -> list[Any]:
        return [recorded.event for recorded in self.events if isinstance(recorded.event, kind)]


@asynccontextmanager
async def node(make_server: ServerFactory, name: str, **rooms: Any) -> AsyncIterator[Kernel]:
    """A running node."""
    kernel = Kernel(make_server(name), quick_settings(**rooms), name, real_environment())
    await kernel.open()
    try:
        yield kernel
    finally:
        await kernel.close()


async def open_room(kernel: Kernel, room_id: str = ROOM, **settings: Any) -> Room:
    room = await kernel.rooms.create(room_id, "owner", RoomSettings(name="Hall", **settings))
    assert not isinstance(room, Rejection), room
    return room


async def watch(kernel: Kernel, watcher: Watcher, room_id: str = ROOM) -> RoomView:
    view = await kernel.followers.watch(room_id, watcher)
    assert view is not None
    watcher.position = (view.epoch, view.seq)
    return view


async def join(kernel: Kernel, user_id: str, number: int = 1, room_id: str = ROOM) -> Actor:
    """A user comes in with a connection of this node."""
    joined = await kernel.audience.join(
        room_id, f"{kernel.node}.{user_id}{number}", Profile(user_id), capacity=1000
    )
    assert not isinstance(joined, Rejection), joined
    return Actor(user_id)


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
