"""Audio through the real path: users join by offer and answer, ICE and DTLS, and hear each other by SRTP.

Eight speakers send 160-byte payloads, 50 a second each, to every listener (or to three slots of each). What
counts is the CPU time of the media worker: all its threads, the kernel's work on its behalf included. The
packets are received on the same machine, so that half of the receiving costs the worker too; a network card
would take it away.

Where there are two cores the worker gets one and the load generator the other.
"""

import asyncio
import contextlib
import functools
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from loadtests.audio.hearing import WARM_SECONDS, Cast
from loadtests.audio.player import Count, percentile
from loadtests.audio.room import Exchange
from loadtests.benchmarks import processes, usage
from loadtests.benchmarks.crowds import make_room
from loadtests.benchmarks.figures import (
    Figure,
    Options,
    Report,
    Sample,
    at_least,
    at_most,
    figure,
    in_turn,
)
from loadtests.clients.rest import Rest
from loadtests.clients.streams import Connection
from loadtests.traffic.world import gather_bounded

NAME = "audio"
MEASURES = "packets per CPU second of a media worker, both engines; latency; what a join costs"
LIMITS = {
    "native_300": at_least(300_000),
    "native_600": at_least(450_000),
    "native_2000_slots_cores": at_most(1.0),
    "native_1400_slots_p99": at_most(6.0),
    "native_600_lost": at_most(0.0001),
    "python_150": at_least(120_000),
    "join_cpu": at_most(6.0),
}
SPEAKERS = 8
SAMPLED_LISTENERS = 16
JOINS_AT_ONCE = 16


class Scene(msgspec.Struct, frozen=True):
    """One thing to measure. No slots of a scene means: everybody hears all eight."""

    name: str
    engine: str
    listeners: int
    slots: int = SPEAKERS


SCENES = (
    Scene("native_300", "native", 300),
    Scene("native_600", "native", 600),
    Scene("native_1400_slots", "native", 1400, 3),
    Scene("native_2000_slots", "native", 2000, 3),
    Scene("python_150", "python", 150),
)


class Stage(Cast):
    """A node with one room, and the users in it."""

    def __init__(self, server: processes.Process, rest: Rest, room_id: str) -> None:
        super().__init__()
        self.server, self.rest, self.room_id = server, rest, room_id
        self._connections: list[Connection] = []

    def worker_pids(self) -> list[int]:
        """The media workers, the spare one too: it costs next to nothing and is counted all the same."""
        found = []
        for pid in usage.tree(self.server.pid):
            words = usage.command_line(pid).split()
            if "-m" in words and "sfu" in words:
                found.append(pid)
        return found

    def worker_seconds(self) -> float:
        return sum(usage.cpu_seconds(pid) for pid in self.worker_pids())

    async def speaker(self, number: int) -> None:
        connection = Connection(self.server.url, await self.rest.token(self.room_id, f"speaker-{number}"))
        await connection.connect()
        self._connections.append(connection)
        for name, fields in (("room:join", {}), ("seat:take", {"index": -1})):
            answer = await connection.call(name, fields)
            if not answer["ok"]:
                raise RuntimeError(f"{name} refused: {answer}")

        async def exchange(sdp: str) -> str:
            answered = await connection.call("rtc:offer", {"sdp": sdp})
            if not answered["ok"]:
                raise RuntimeError(f"offer refused: {answered}")
            return str(answered["data"]["sdp"])

        member = self.room.add()
        await member.join(exchange, slots=0, mic=True)
        self.speakers.append(member)

    async def listener(self, number: int, slots: int) -> None:
        token = await self.rest.token(self.room_id, f"listener-{number}")
        member = self.room.add()
        await member.join(self._whep(token), slots=slots, mic=False)
        self.listeners.append(member)

    def _whep(self, token: str) -> Exchange:
        url = f"{self.server.url}/v1/rooms/{self.room_id}/whep"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}

        async def exchange(sdp: str) -> str:
            async with self.rest.session.post(url, data=sdp, headers=headers) as answer:
                text = await answer.text()
                if answer.status != 201:
                    raise RuntimeError(f"WHEP refused: {answer.status} {text[:200]}")
                return text

        return exchange

    def close(self) -> None:
        for connection in self._connections:
            connection.leaving = True
            connection.drop()
        self.room.close()


@contextlib.asynccontextmanager
async def stage(scene: Scene) -> AsyncIterator[Stage]:
    environment = {"FLYLIVE_SFU_ENGINE": scene.engine, "FLYLIVE_SFU_PORT": "0"}
    async with (
        processes.node(environment=environment) as server,
        Rest(server.url, server.service_key, timeout_seconds=60) as rest,
    ):
        room_id = f"audio-{secrets.token_hex(4)}"
        await make_room(rest, room_id)
        made = Stage(server, rest, room_id)
        made.room.open()
        try:
            yield made
        finally:
            made.close()


def give_core(pids: list[int], core: int) -> None:
    """Every thread of the processes on one core."""
    if len(os.sched_getaffinity(0)) < 2:
        return
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.sched_setaffinity(int(thread.name), {core})


async def play(made: Stage, seconds: int) -> Sample:
    """One run: latency and loss in its first part, then, without the stamps, what a packet costs."""
    captured = WARM_SECONDS + seconds
    schedule = made.schedule(captured + seconds)
    marks: list[tuple[Count, float]] = []
    with tempfile.TemporaryDirectory(prefix="flylive-audio-") as directory:
        player = made.player(SAMPLED_LISTENERS, directory, captured)
        async for count in player.play(schedule, core=1 if len(os.sched_getaffinity(0)) > 1 else None):
            marks.append((count, made.worker_seconds()))
        played = player.played()
    counted = marks[captured + 1 : -1]
    (before, cpu_before), (after, cpu_after) = counted[0], counted[-1]
    cpu, wall = cpu_after - cpu_before, (after.at_ns - before.at_ns) / 1e9
    heard = made.heard(schedule, played)
    return {
        "": (after.media - before.media) / cpu,
        "_cores": cpu / wall,
        "_p50": percentile(heard.latencies_ms, 0.5),
        "_p99": percentile(heard.latencies_ms, 0.99),
        "_lost": heard.counts["missing"] / max(1, heard.counts["packet"]),
    }


async def measure(scene: Scene, options: Options) -> Sample:
    listeners = options.size(scene.listeners, 20)
    async with stage(scene) as made:
        await asyncio.gather(*(made.speaker(number) for number in range(SPEAKERS)))
        before, started = made.worker_seconds(), time.monotonic()
        joins = (made.listener(number, scene.slots) for number in range(listeners))
        await gather_bounded(joins, JOINS_AT_ONCE)
        joined = made.worker_seconds() - before
        options.say(f"    {listeners} joined in {time.monotonic() - started:.1f} s")
        give_core(made.worker_pids(), 0)
        sample = await play(made, options.size(6, 3))
        return {f"{scene.name}{name}": value for name, value in sample.items()} | {
            f"{scene.name}_join_cpu": joined / listeners * 1000
        }


UNITS = {
    f"{scene.name}{end}": unit
    for scene in SCENES
    for end, unit in (
        ("", "per CPU s"),
        ("_cores", "cores"),
        ("_p50", "ms"),
        ("_p99", "ms"),
        ("_lost", "of 1"),
        ("_join_cpu", "ms"),
    )
}


async def run(options: Options) -> Report:
    figures: list[Figure] = []
    for scene in SCENES:
        found = await in_turn({"ours": functools.partial(measure, scene, options)}, UNITS, options)
        figures += found["ours"].values()
    joins = max(
        (entry for entry in figures if entry.name.endswith("_join_cpu")), key=lambda entry: entry.value
    )
    return Report((*figures, figure("join_cpu", "ms", list(joins.runs))))
