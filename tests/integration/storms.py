"""Crowds that arrive at once.

    python -m tests.integration.storms --joins 1000 --returns 5000

`joins`: so many users, connected already, join one room in the same instant. `returns`: so many connections
in several rooms are dropped in the same instant and come back. Both are measured at the clients, which are
another process than the node.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from loadtests.clients.connection import Answer, Refused
from loadtests.clients.streams import Connection
from realtime.embedded.servers import EmbeddedServers, Urls
from state.commands import ChatSend
from state.ports import Done
from state.rejections import Unavailable
from tests.integration.nodes import Cluster, cluster, token
from tests.integration.reconnects import SPEAKER

AT_ONCE = 200
ROOM_SIZE = 50
SECONDS = 60.0
RETRY_SECONDS = 0.5


class Times(msgspec.Struct):
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    node_cpu_seconds: float


class Watcher:
    """Keeps the numbers of one user's room events."""

    def __init__(self) -> None:
        self.seqs: list[int] = []

    def on_joined(self, answer: Answer) -> None:
        if answer["ok"]:
            self.seqs.append(answer["data"]["seq"])

    def on_event(self, connection: Connection, name: str, body: Any, position: str | None) -> None:
        if isinstance(body, dict) and "seq" in body:
            self.seqs.append(body["seq"])

    def on_lost(self, connection: Connection, reason: str) -> None:
        """Expected."""


class Crowd:
    """Connected users of one node."""

    def __init__(self, nodes: Cluster) -> None:
        self.nodes = nodes
        self.people: list[tuple[Connection, Watcher]] = []

    async def connect(self, count: int, rooms: Sequence[str]) -> None:
        url = self.nodes.nodes[0].url
        for number in range(count):
            watcher = Watcher()
            made = token(f"u{number}", rooms[number % len(rooms)])
            self.people.append((Connection(url, made, watcher), watcher))
        for start in range(0, count, AT_ONCE):
            batch = self.people[start : start + AT_ONCE]
            await asyncio.gather(*(connection.connect(SECONDS) for connection, _ in batch))

    async def join(self) -> list[float]:
        """All at once; how long each waited, in ms."""
        return await asyncio.gather(*(self._join(connection, watcher) for connection, watcher in self.people))

    async def _join(self, connection: Connection, watcher: Watcher) -> float:
        began = time.monotonic()
        # noted before any event that comes behind it
        answer = await connection.call("room:join", {}, SECONDS, watcher.on_joined)
        assert answer["ok"], answer
        return (time.monotonic() - began) * 1000

    async def come_back(self) -> list[float]:
        began = time.monotonic()
        for connection, _ in self.people:
            assert connection.transport is not None
            connection.transport.abort()
        await asyncio.sleep(0)

        async def back(connection: Connection) -> float:
            while True:
                try:
                    assert await connection.connect(SECONDS), "not recovered"
                except Refused as refusal:
                    if not refusal.code.startswith("server closed"):
                        raise
                    # it was closed resumably and tries again, as real clients do
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                return (time.monotonic() - began) * 1000

        return await asyncio.gather(*(back(connection) for connection, _ in self.people))

    async def verify(self, rooms: Sequence[str]) -> None:
        """A last message reaches all, and nobody has a gap."""
        last = {}
        for room_id in rooms:
            last[room_id] = await self._say_last(room_id)
        async with asyncio.timeout(SECONDS):
            for number, (_, watcher) in enumerate(self.people):
                while watcher.seqs[-1] < last[rooms[number % len(rooms)]]:
                    await asyncio.sleep(0.01)
        for _, watcher in self.people:
            first, count = watcher.seqs[0], len(watcher.seqs)
            assert watcher.seqs == list(range(first, first + count)), watcher.seqs[-20:]

    async def _say_last(self, room_id: str) -> int:
        """The number of a last message; this process is busy with its crowd and may need several tries."""
        while True:
            try:
                answer = await self.nodes.kernel.rooms.perform(room_id, SPEAKER, ChatSend(text="last"))
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            assert isinstance(answer, Done), answer
            return answer.seq

    def close(self) -> None:
        for connection, _ in self.people:
            if connection.transport is not None:
                connection.transport.abort()


def cpu_seconds(nodes: Cluster) -> float:
    """What the first node's process has used."""
    fields = Path(f"/proc/{nodes.nodes[0].process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def times(waits: list[float], cpu: float) -> Times:
    ordered = sorted(waits)

    def at(part: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)

    return Times(len(waits), at(0.5), at(0.95), at(0.99), round(cpu, 2))


async def joins(nodes: Cluster, count: int) -> Times:
    """So many users join one room at once."""
    await nodes.room("arena")
    crowd = Crowd(nodes)
    try:
        await crowd.connect(count, ["arena"])
        before = cpu_seconds(nodes)
        waits = await crowd.join()
        used = cpu_seconds(nodes) - before
        await crowd.verify(["arena"])
        return times(waits, used)
    finally:
        crowd.close()


async def returns(nodes: Cluster, count: int) -> Times:
    """So many connections are dropped at once and come back."""
    rooms = [f"hall{number}" for number in range(max(1, count // ROOM_SIZE))]
    for room_id in rooms:
        await nodes.room(room_id)
    crowd = Crowd(nodes)
    try:
        await crowd.connect(count, rooms)
        await crowd.join()
        await crowd.verify(rooms)
        before = cpu_seconds(nodes)
        waits = await crowd.come_back()
        used = cpu_seconds(nodes) - before
        await crowd.verify(rooms)
        return times(waits, used)
    finally:
        crowd.close()


async def run(directory: Path, urls: Urls, join_count: int, return_count: int) -> None:
    assert urls.redis_url is not None
    assert urls.database_url is not None
    async with cluster(directory / "nodes", urls.redis_url, urls.database_url) as nodes:
        await nodes.start()
        for name, storm, count in (("joins", joins, join_count), ("returns", returns, return_count)):
            if count:
                print(name, msgspec.json.encode(await storm(nodes, count)).decode(), flush=True)


def main(join_count: int, return_count: int) -> None:
    directory = Path(tempfile.mkdtemp(prefix="flylive-storms-"))
    directory.chmod(0o711)
    try:
        with EmbeddedServers(directory / "servers", durable=False) as urls:
            uvloop.run(run(directory, urls, join_count, return_count))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.integration.storms")
    parser.add_argument("--joins", type=int, default=1000)
    parser.add_argument("--returns", type=int, default=5000)
    options = parser.parse_args()
    main(options.joins, options.returns)
