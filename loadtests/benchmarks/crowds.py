"""Crowds of listening users for the wire's benchmarks, against our node or a peer: cheap to hold by
thousands.

A user joins as every client does. After that it only counts events and answers pings, so that the driver
does not become what is measured.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from loadtests.clients.conversation import Fields
from loadtests.clients.rest import Rest
from loadtests.clients.streams import Connection
from loadtests.traffic.world import gather_bounded

EVENT = b'["chat:message"'
PING = b"\x81\x012"
PONG = b"\x81\x81\x00\x00\x00\x003"  # masked with zeros
IN_FLIGHT = 64
WAIT_SECONDS = 60.0


class Ear(Connection):
    """A user; with `on_data` it has stopped to decode and hands the bytes over."""

    on_data: Callable[[bytes], None] | None = None

    def data_received(self, data: bytes) -> None:
        if self.on_data is None:
            super().data_received(data)
            return
        if PING in data and self.transport is not None:
            self.transport.write(PONG)
        self.on_data(data)


class Crowd:
    """Users of one server, and how many events all of them together have heard."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ears: list[Ear] = []
        self.heard = self.reads = 0
        self._wanted = 0
        self._arrived: asyncio.Event | None = None

    async def enter(self, auths: Iterable[Fields]) -> None:
        """Connect and join, so many at a time; each has its snapshot in the end."""

        async def one(auth: Fields) -> Ear:
            ear = Ear(self.url, "", auth=auth)
            await ear.connect()
            answer = await ear.call("room:join")
            if not answer["ok"]:
                raise RuntimeError(f"join refused: {answer}")
            ear.on_data = self._count
            return ear

        self.ears += await gather_bounded((one(auth) for auth in auths), IN_FLIGHT)

    def _count(self, data: bytes) -> None:
        self.heard += data.count(EVENT)
        self.reads += 1
        if self._arrived is not None and self.heard >= self._wanted:
            self._arrived.set()

    async def hears(self, events: int, work: Awaitable[Any]) -> None:
        """Do the work and wait until the crowd has heard so many more events."""
        self._wanted, self._arrived = self.heard + events, asyncio.Event()
        await work
        async with asyncio.timeout(WAIT_SECONDS):
            await self._arrived.wait()
        self._arrived = None

    async def settle(self, seconds: float = 0.5) -> None:
        """Until nothing has come for a while: announcements of the joins are over."""
        deadline = time.monotonic() + WAIT_SECONDS
        seen = -1
        while seen != self.heard and time.monotonic() < deadline:
            seen = self.heard
            await asyncio.sleep(seconds)

    def drop(self) -> None:
        for ear in self.ears:
            ear.leaving = True
            ear.drop()
        self.ears = []


async def make_room(rest: Rest, room_id: str) -> None:
    fields = {"room_id": room_id, "owner_id": f"owner-{room_id}", "name": "wire", "capacity": 20_000}
    await rest.required("POST", "/v1/rooms", fields)


async def tokens(rest: Rest, room_id: str, users: Iterable[str]) -> list[Fields]:
    made = await gather_bounded(rest.token(room_id, user, name=user) for user in users)
    return [{"token": token} for token in made]


def peer_auths(room_id: str, users: Iterable[str]) -> list[Fields]:
    return [{"token": "peer", "room_id": room_id, "user_id": user} for user in users]
