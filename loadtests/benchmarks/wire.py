"""What the wire costs beside Node's socket.io with its default adapter: CPU time of each server process.

Ours is the whole product: clients are held by one node, events are committed by a second one, so the CPU of
the first is the path from the room's stream through the follower to every socket. Node sends from a variable.
Of both the next event is asked for when everybody has heard the one before: a server that may go on at once
finds everything in its caches, and its clients still awake.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

import aiohttp
import msgspec

from loadtests import peers
from loadtests.benchmarks import processes
from loadtests.benchmarks.crowds import Crowd, make_room, peer_auths, tokens
from loadtests.benchmarks.figures import (
    Figure,
    Options,
    Report,
    Sample,
    at_least,
    at_most,
    in_turn,
    ratio,
)
from loadtests.clients.rest import Rest

NAME = "wire"
MEASURES = "fan-out, connect and join, idle memory of one node beside Node's socket.io"
LIMITS = {
    "deliveries_ratio": at_least(1.8),
    "burst_deliveries_ratio": at_least(8.0),
    "connect_join_ratio": at_most(0.9),
    "idle_memory_ratio": at_most(0.5),
}
UNITS = {
    "deliveries": "per CPU s",
    "burst_deliveries": "per CPU s",
    "connect_join": "us",
    "idle_memory": "bytes",
    "events_together": "per read of a client",
}
RATIOS = ("deliveries", "burst_deliveries", "connect_join", "idle_memory")
REPEATS = 5
BURST = 10
IN_FLIGHT_PER_BATCH = 3  # what is on its way to the room, in the commit, on its way back
WARM_USERS = 200  # rooms of that size announce joins in batches


class Ours:
    """The node that holds the clients, the node that commits the events."""

    def __init__(self, holder: processes.Process, writer: Rest, rest: Rest) -> None:
        self.process, self.writer, self.rest = holder, writer, rest
        self.crowd = Crowd(holder.url)

    async def enter(self, room_id: str, users: list[str]) -> float:
        """-> CPU seconds of the joins; the tokens are made before."""
        auths = await tokens(self.rest, room_id, users)
        before = self.process.cpu_seconds()
        await self.crowd.enter(auths)
        await self.crowd.settle()
        return self.process.cpu_seconds() - before

    async def make_room(self, room_id: str) -> None:
        await make_room(self.rest, room_id)

    async def say(self, room_id: str) -> None:
        body = {"command": "chat:send", "fields": {"text": "hello everyone in the room"}}
        await self.writer.required("POST", f"/v1/rooms/{room_id}/commands", body)

    async def fan(self, room_id: str, rounds: int, burst: int) -> None:
        """One at a time; or so many in flight that about `burst` are committed together."""
        size, left = len(self.crowd.ears), iter(range(rounds * burst))
        if burst == 1:
            for _ in left:
                await self.crowd.hears(size, self.say(room_id))
            return

        async def speak() -> None:
            for _ in left:
                await self.say(room_id)

        at_once = burst * IN_FLIGHT_PER_BATCH
        await self.crowd.hears(rounds * burst * size, asyncio.gather(*(speak() for _ in range(at_once))))

    async def collect(self) -> None:
        """Nothing to ask for: reference counts free what ends."""


class Node:
    """The peer."""

    def __init__(self, process: processes.Process, http: aiohttp.ClientSession) -> None:
        self.process, self.http = process, http
        self.crowd = Crowd(process.url)

    async def enter(self, room_id: str, users: list[str]) -> float:
        before = self.process.cpu_seconds()
        await self.crowd.enter(peer_auths(room_id, users))
        await self.crowd.settle()
        return self.process.cpu_seconds() - before

    async def make_room(self, room_id: str) -> None:
        """A room is made by the first who joins it."""

    async def fan(self, room_id: str, rounds: int, burst: int) -> None:
        size = len(self.crowd.ears)
        url = f"{self.process.url}/fan?room={room_id}&burst={burst}"
        for _ in range(rounds):
            await self.crowd.hears(burst * size, self._get(url))

    async def collect(self) -> None:
        await self._get(f"{self.process.url}/collect")

    async def _get(self, url: str) -> None:
        async with self.http.get(url) as response:
            await response.read()


async def measure(server: Ours | Node, options: Options) -> Sample:
    """All figures of one subject, once, in a fresh room."""
    room_id, crowd = f"wire-{secrets.token_hex(4)}", server.crowd
    users, rounds = options.size(1000, 100), options.size(200, 10)
    memory = await _idle(server, options)  # first, while the process is fresh and its heap has no gaps
    await server.make_room(room_id)
    await server.enter(room_id, [f"warm-{number}" for number in range(min(WARM_USERS, users))])
    cpu = await server.enter(room_id, [f"user-{number}" for number in range(users)])
    members = len(crowd.ears)
    await server.fan(room_id, 5, 1)
    single = await _cost(server, room_id, rounds, 1)
    crowd.reads = 0
    bursts = await _cost(server, room_id, max(2, rounds // 4), BURST)
    together = max(2, rounds // 4) * BURST * members / max(1, crowd.reads)
    crowd.drop()
    return {
        "deliveries": rounds * members / single,
        "burst_deliveries": max(2, rounds // 4) * BURST * members / bursts,
        "connect_join": cpu / users * 1e6,
        "idle_memory": memory,
        "events_together": together,
    }


async def _cost(server: Ours | Node, room_id: str, rounds: int, burst: int) -> float:
    before = server.process.cpu_seconds()
    await server.fan(room_id, rounds, burst)
    return max(server.process.cpu_seconds() - before, 0.01)


async def _idle(server: Ours | Node, options: Options) -> float:
    """Memory per connection that has joined a room and does nothing."""
    room_id, users = f"idle-{secrets.token_hex(4)}", options.size(2000, 200)
    await server.make_room(room_id)
    await server.enter(room_id, [f"warm-{number}" for number in range(WARM_USERS)])
    await server.collect()
    before = server.process.memory_bytes()
    await server.enter(room_id, [f"idle-{number}" for number in range(users)])
    await server.collect()
    used = server.process.memory_bytes() - before
    server.crowd.drop()
    await asyncio.sleep(1)
    return used / users


@contextlib.asynccontextmanager
async def ours() -> AsyncIterator[Ours]:
    """Two nodes on the same embedded servers."""
    async with processes.node() as holder:
        urls = msgspec.json.decode((holder.log.parent / "data" / "urls.json").read_bytes())
        shared = {"FLYLIVE_REDIS_URL": urls["redis_url"], "FLYLIVE_DATABASE_URL": urls["database_url"]}
        async with (
            processes.node(environment=shared, service_key=holder.service_key) as writer,
            Rest(writer.url, writer.service_key) as writer_rest,
            Rest(holder.url, holder.service_key) as rest,
        ):
            yield Ours(holder, writer_rest, rest)


@contextlib.asynccontextmanager
async def peer() -> AsyncIterator[Node]:
    async with peers.node() as process, aiohttp.ClientSession() as http:
        yield Node(process, http)


async def run(options: Options) -> Report:
    async def once_ours() -> Sample:
        async with ours() as server:
            return await measure(server, options)

    async def once_peer() -> Sample:
        async with peer() as server:
            return await measure(server, options)

    found = await in_turn({"ours": once_ours, "node": once_peer}, UNITS, options)
    return Report((*_all(found), *_ratios(found)), ("ours: committed by a second node, followed, delivered",))


def _all(found: dict[str, dict[str, Figure]]) -> list[Figure]:
    return [entry for named in found.values() for entry in named.values()]


def _ratios(found: dict[str, dict[str, Figure]]) -> list[Figure]:
    return [ratio(f"{name}_ratio", found["ours"][name], found["node"][name]) for name in RATIOS]
