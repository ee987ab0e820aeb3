"""Which worker carries which room.

A worker announces itself under a key that lives for a few seconds, with its load; a room belongs to the
worker that its key names. A room without a worker, or with a dead one, goes to the least loaded; one
script decides, so that all nodes agree. Nothing here is needed while packets flow: without Redis every
room stays where it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from state.keys import Keys
from state.rejections import Unavailable
from state.server import Server

LIFETIME_MS = 2_500
"""A worker that did not announce itself for so long is dead."""
ANNOUNCE_SECONDS = 0.5
ROOM_LIFETIME_MS = 60_000
KEEP_ROOMS_SECONDS = 15.0
CACHE_SECONDS = 0.4
FORGET_MS = 60_000
"""The name of a dead worker is taken off the list after so long."""


class Announcement(msgspec.Struct, frozen=True):
    """What a worker says of itself."""

    worker: str
    node: str
    addresses: list[str]
    port: int
    engine: str
    load: float
    """Share of a core in use, with a little for each room that was placed and does not talk yet."""
    rooms: int = 0
    transports: int = 0
    producers: int = 0
    consumers: int = 0
    figures: dict[str, float] = {}
    is_draining: bool = False


class Registry:
    """The workers that live."""

    def __init__(self, server: Server, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._keys, self._clock = server, keys, clock
        self._known: dict[str, Announcement] = {}
        self._read_at = float("-inf")

    async def announce(self, announcement: Announcement, now_ms: int) -> None:
        encoded = msgspec.json.encode(announcement)
        key = self._keys.media_worker(announcement.worker)
        await self._server.execute("SET", key, encoded, "PX", LIFETIME_MS)
        await self._server.execute("ZADD", self._keys.media_workers, now_ms, announcement.worker)

    async def withdraw(self, worker: str) -> None:
        """At once, instead of after the lifetime."""
        await self._server.execute("DEL", self._keys.media_worker(worker))
        await self._server.execute("ZREM", self._keys.media_workers, worker)
        self._read_at = float("-inf")

    async def workers(self, fresh: bool = False) -> dict[str, Announcement]:
        """By name; a moment old unless `fresh`."""
        if not fresh and self._clock() - self._read_at < CACHE_SECONDS:
            return self._known
        names = await self._server.execute("ZRANGE", self._keys.media_workers, 0, -1)
        found = {}
        for raw in names:
            name = raw.decode() if isinstance(raw, bytes) else str(raw)
            value = await self._server.execute("GET", self._keys.media_worker(name))
            if value is not None:
                found[name] = msgspec.json.decode(value, type=Announcement)
        self._known, self._read_at = found, self._clock()
        return found

    async def forget_dead(self, now_ms: int) -> None:
        key = self._keys.media_workers
        await self._server.execute("ZREMRANGEBYSCORE", key, "-inf", now_ms - FORGET_MS)


class Placement:
    """Where rooms are."""

    def __init__(self, server: Server, keys: Keys, registry: Registry) -> None:
        self._server, self._keys, self._registry = server, keys, registry

    async def worker_of(self, room_id: str) -> Announcement:
        """The living worker of a room, placing it when it has none. Unavailable when no worker lives."""
        key = self._keys.media_room(room_id)
        workers = await self._registry.workers()
        holder = _text(await self._server.execute("GET", key))
        if holder in workers:
            return workers[holder]
        workers = await self._registry.workers(fresh=True)
        if holder in workers:
            return workers[holder]
        choice = least_loaded(workers)
        if choice is None:
            raise Unavailable("no media worker")
        placed = _text(await self._server.script("place", [key], [holder, choice.worker, ROOM_LIFETIME_MS]))
        if placed in workers:
            return workers[placed]
        raise Unavailable("the room's media worker is not known yet")

    async def holder_of(self, room_id: str) -> Announcement | None:
        """The living worker of a room, if it has one: a look places nothing."""
        holder = _text(await self._server.execute("GET", self._keys.media_room(room_id)))
        return (await self._registry.workers(fresh=True)).get(holder) if holder else None

    async def keep(self, room_id: str) -> None:
        """Called by the worker for each of its rooms."""
        await self._server.execute("PEXPIRE", self._keys.media_room(room_id), ROOM_LIFETIME_MS)


def least_loaded(workers: dict[str, Announcement]) -> Announcement | None:
    usable = [w for w in workers.values() if not w.is_draining] or list(workers.values())
    return min(usable, key=lambda w: (w.load, w.rooms, w.worker), default=None)


def _text(value: bytes | str | None) -> str:
    if value is None:
        return ""
    return value.decode() if isinstance(value, bytes) else value
