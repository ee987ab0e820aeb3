"""Garbage and hostility for as long as one likes, with honest users in the midst of it.

    python -m tests.integration.garbage --minutes 60 --seed 1

Hostile clients send bytes without meaning, broken HTTP and WebSocket, polls and posts in every wrong order,
and packets that are well formed and wrong. Meanwhile honest users talk in the same room: each of their
messages must be answered, and must reach all of them once and in order. The node must not grow, must log no
failure, and must hold nobody in the end who has gone.

Random by seed as far as the hostile side goes; the order in which the node sees it is the machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from loadtests.clients.connection import Lost, Refused
from loadtests.clients.streams import Connection
from realtime.embedded.servers import EmbeddedServers
from tests.integration.hostility import HOSTILE, Field, Visit
from tests.integration.nodes import Cluster, cluster, token
from tests.integration.storms import Watcher

SENDERS = 6  # of each kind
HONEST = 3
PAUSE_SECONDS = 0.2  # between two messages of the honest
WARM_PART = 0.2  # of the time, before growth counts
SAMPLE_SECONDS = 5.0
SETTLE_SECONDS = 60.0
ROOM = "lounge"
# What a process may grow by for reasons of its own: caches of rooms and users that were named, the allocator.
GROWTH_BYTES = 40 << 20
GROWTH_FILES = 20
GROWTH_TASKS = 50
SILENT_SAMPLES = 4
STOOD_STILL_SECONDS = 2.0  # all of us were stopped: leases ran out, and coming back is no fault


class Sample(msgspec.Struct, frozen=True):
    """The node at one moment."""

    memory: int
    files: int
    tasks: int
    connections: int


class Result(msgspec.Struct, frozen=True):
    seconds: float
    sent: dict[str, int]
    messages: int
    worst_answer_ms: float
    returns: int
    standstills: int
    before: Sample
    worst: Sample
    after: Sample


class Honest:
    """A user who behaves, and counts."""

    def __init__(self, nodes: Cluster, name: str, seconds: float) -> None:
        """seconds: how long it stays, which its token has to outlive"""
        self.watcher = Watcher()
        own = token(name, ROOM, role="owner", seconds=seconds + 60 * SETTLE_SECONDS)
        self.connection = Connection(nodes.nodes[0].url, own, self.watcher)
        self.runs: list[list[int]] = []  # the numbers seen, anew after a return without recovery
        self.returns = 0
        self.refusals = 0  # of a node that has been stopped too and is not sure of its lease yet

    async def enter(self) -> None:
        await self.connection.connect()
        await self.join()

    async def join(self) -> None:
        self.watcher.seqs = []
        self.runs.append(self.watcher.seqs)
        await self.connection.call("room:join", {}, notice=self.watcher.on_joined)

    async def say(self, text: str) -> float:
        """-> how long the answer took, in ms"""
        began = time.monotonic()
        answer = await self.connection.call("chat:send", {"text": text})
        if not answer["ok"]:
            assert answer["error"]["code"] == "UNAVAILABLE", answer
            self.refusals += 1
        return (time.monotonic() - began) * 1000

    async def come_back(self) -> None:
        self.returns += 1
        while True:
            with contextlib.suppress(Refused, OSError, TimeoutError, Lost):
                if not await self.connection.connect():
                    await self.join()
                return
            await asyncio.sleep(0.5)

    def verify(self) -> None:
        for seqs in self.runs:
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "an honest user has a gap"


class Siege:
    """One run."""

    def __init__(self, nodes: Cluster, seed: int, seconds: float) -> None:
        self.nodes, self.seed, self.seconds = nodes, seed, seconds
        self.field = Field(nodes.nodes[0].url, Counter())
        self.honest = [Honest(nodes, f"honest{number}", seconds) for number in range(HONEST)]
        self.samples: list[tuple[float, Sample]] = []
        self.answers_ms: list[float] = []
        self.standstills = 0

    async def run(self, say: Callable[[str], None]) -> Result:
        began = time.monotonic()
        for one in self.honest:
            await one.enter()
        quiet = self.sample()
        workers = [
            asyncio.create_task(self.hostile(kind, number)) for kind in HOSTILE for number in range(SENDERS)
        ]
        helpers = [asyncio.create_task(one) for one in (self.talk(), self.watch(began, say))]
        async with asyncio.timeout(self.seconds + SETTLE_SECONDS):
            done, _ = await asyncio.wait([*workers, *helpers], return_when=asyncio.FIRST_EXCEPTION)
        for task in [*workers, *helpers]:
            if task in done:
                task.result()
        await self.settled(quiet)
        return self.judged(quiet, time.monotonic() - began)

    async def hostile(self, kind: Visit, number: int) -> None:
        """One sender, who begins again whenever it is thrown out."""
        dice = random.Random(f"{self.seed}/{kind.__name__}/{number}")
        name = f"hostile-{kind.__name__}-{number}"
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            await kind(self.field, dice, name)
            self.field.counts[kind.__name__] += 1
            await asyncio.sleep(0.01)

    async def talk(self) -> None:
        deadline, number = time.monotonic() + self.seconds, 0
        while time.monotonic() < deadline:
            speaker = self.honest[number % HONEST]
            with contextlib.suppress(Lost, TimeoutError):
                self.answers_ms.append(await speaker.say(f"message {number}"))
            for one in self.honest:
                if not one.connection.connected:
                    await one.come_back()
            number += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def watch(self, began: float, say: Callable[[str], None]) -> None:
        deadline, last, silent = began + self.seconds, time.monotonic(), 0
        while time.monotonic() < deadline:
            await asyncio.sleep(min(SAMPLE_SECONDS, self.seconds / 20))
            now = time.monotonic()
            if now - last > SAMPLE_SECONDS + STOOD_STILL_SECONDS:
                self.standstills += 1
            last = now
            try:
                found = await asyncio.to_thread(self.sample)
            except OSError:  # stopped while we asked; a node that stays silent is at fault
                silent += 1
                assert silent < SILENT_SAMPLES, "the node does not answer"
                continue
            silent = 0
            self.samples.append((now - began, found))
            say(f"{now - began:.0f} s: {found} sent {dict(self.field.counts)} said {len(self.answers_ms)}")

    def sample(self) -> Sample:
        node = self.nodes.nodes[0]
        place = Path(f"/proc/{node.process.pid}")
        figures = {}
        for line in node.get("/metrics").splitlines():
            name, _, value = line.rpartition(" ")
            figures[name] = value
        return Sample(
            memory=int((place / "statm").read_text().split()[1]) * 4096,
            files=len(list((place / "fd").iterdir())),
            tasks=int(float(figures["flylive_tasks"])),
            connections=int(float(figures["flylive_connections"])),
        )

    async def settled(self, quiet: Sample) -> None:
        """The hostile have gone: so has what the node held for them."""
        await self.honest[0].say("the last one")
        last = self.honest[0].watcher.seqs
        names = {f"honest{number}" for number in range(HONEST)}
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                page = await self.nodes.kernel.audience.members(ROOM, None, 100)
                now = await asyncio.to_thread(self.sample)
                heard = all(one.watcher.seqs[-1] >= last[-1] for one in self.honest)
                alone = {member.user_id for member in page.members} == names and now.connections == HONEST
                light = now.files <= quiet.files + GROWTH_FILES and now.tasks <= quiet.tasks + GROWTH_TASKS
                if heard and alone and light:
                    return
                await asyncio.sleep(0.2)

    def judged(self, quiet: Sample, seconds: float) -> Result:
        for one in self.honest:
            one.verify()
        assert self.field.counts["status 500"] == 0, self.field.counts
        returns = sum(one.returns for one in self.honest)
        refusals = sum(one.refusals for one in self.honest)
        assert self.standstills or not refusals, f"{refusals} honest messages were refused"
        assert returns <= HONEST * self.standstills, f"{returns} honest connections were cut"
        warm = [found for at, found in self.samples if at >= WARM_PART * seconds]
        after = self.sample()
        assert after.memory - warm[0].memory < GROWTH_BYTES, f"from {warm[0]} to {after}"
        worst = max(warm, key=lambda found: found.memory)
        lines = [line for line in self.nodes.logs() if line.get("level") in ("error", "critical")]
        assert lines == [], lines[:5]
        worst_ms = max(self.answers_ms)
        return Result(
            round(seconds),
            dict(self.field.counts),
            len(self.answers_ms),
            round(worst_ms, 1),
            returns,
            self.standstills,
            warm[0],
            worst,
            after,
        )

    def close(self) -> None:
        for one in self.honest:
            one.connection.leave()


async def siege(nodes: Cluster, seed: int, seconds: float, say: Callable[[str], None]) -> Result:
    """Besiege the first node of the cluster."""
    run = Siege(nodes, seed, seconds)
    try:
        return await run.run(say)
    finally:
        run.close()


async def _run(directory: Path, urls: Any, seed: int, seconds: float) -> None:
    async with cluster(directory / "nodes", urls.redis_url, urls.database_url) as nodes:
        await nodes.start(FLYLIVE_SFU_WORKERS="1")
        await nodes.room(ROOM)
        result = await siege(nodes, seed, seconds, lambda text: print(text, flush=True))
        print(msgspec.json.encode(result).decode(), flush=True)


def main(seed: int, seconds: float) -> None:
    directory = Path(tempfile.mkdtemp(prefix="flylive-garbage-"))
    directory.chmod(0o711)
    try:
        with EmbeddedServers(directory / "servers", durable=False) as urls:
            uvloop.run(_run(directory, urls, seed, seconds))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.integration.garbage")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    main(options.seed, options.minutes * 60)
