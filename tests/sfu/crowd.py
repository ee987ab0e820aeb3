"""`python -m tests.sfu.crowd --joins 1000`: so many users come at once, while a room of the worker talks.

Measured are the time until each has joined, and hears when there are few enough for one Python process to
listen to, and the latency of the talking room before and during the storm. The talking room is played and
heard by the audio load generator; worker and users get a core each where there are two.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass

from loadtests.audio.player import percentile
from loadtests.audio.room import AudioRoom, Member
from loadtests.benchmarks.audio import give_core
from loadtests.benchmarks.usage import cpu_seconds
from loadtests.clients.audio import AudioFailed
from state.events import Settings as RoomSettings
from state.rejections import Unavailable
from tests.sfu.node import with_redis
from tests.sfu.soak import FullRoom, exchange_of, full_room

SPEAKERS, LISTENERS, SAMPLED_LISTENERS = 4, 48, 8
BEFORE_SECONDS = 4
HEARING_JOINS = 200
"""More users than this only join, in a room where nobody speaks."""


@dataclass(slots=True)
class Outcome:
    """Of one storm; latencies in milliseconds."""

    joined_seconds: list[float]
    heard_seconds: list[float]
    failed: list[str]
    before_ms: list[float]
    during_ms: list[float]
    worker_cpu_ms: float
    """Of the worker process, for each join, with what the talking room cost meanwhile."""

    def __str__(self) -> str:
        def shown(values: list[float]) -> str:
            shares = (("p50", 0.5), ("p99", 0.99), ("most", 1.0))
            return ", ".join(f"{name} {percentile(values, share):.2f}" for name, share in shares)

        return (
            f"joined after s: {shown(self.joined_seconds)}; heard after s: {shown(self.heard_seconds)}; "
            f"latency in ms before: {shown(self.before_ms)}; during: {shown(self.during_ms)}; "
            f"{self.worker_cpu_ms:.2f} ms of the worker's CPU per join; {len(self.failed)} failed"
        )


class Guest(Member):
    """A user of the storm, who notes when it first hears somebody."""

    def __init__(self, room: AudioRoom, number: int) -> None:
        super().__init__(room, number)
        self.ear.heard = self._note
        self.heard_at: float | None = None

    def _note(self, what: str, _amount: float) -> None:
        if what == "packet" and self.heard_at is None:
            self.heard_at = time.monotonic()


class Storm:
    """Users that all come in one moment."""

    def __init__(self, room: FullRoom, room_id: str, joins: int) -> None:
        self._node, self._room_id, self._joins = room.node, room_id, joins
        self._street = AudioRoom()
        self.joined_seconds: list[float] = []
        self.failed: list[str] = []
        self.began_ns = self.ended_ns = 0
        self._guests: list[Guest] = []

    async def run(self) -> None:
        await asyncio.sleep(BEFORE_SECONDS)
        self._street.open()
        self._guests = [Guest(self._street, number) for number in range(self._joins)]
        for guest in self._guests:
            self._street.admit(guest)
        self.began_ns, self._began = time.time_ns(), time.monotonic()
        await asyncio.gather(*(self._join(guest) for guest in self._guests))
        self.ended_ns = time.time_ns()

    async def _join(self, guest: Guest) -> None:
        exchange = exchange_of(self._node, self._node.caller(f"guest{guest.number}", self._room_id))
        try:
            await guest.join(exchange, slots=1, mic=False)
        except (AudioFailed, Unavailable) as failure:
            self.failed.append(str(failure))
        else:
            self.joined_seconds.append(time.monotonic() - self._began)

    def heard_seconds(self) -> list[float]:
        return [guest.heard_at - self._began for guest in self._guests if guest.heard_at is not None]

    def close(self) -> None:
        for guest in self._guests:
            guest.close()
        self._street.close()


async def crowd(redis_url: str, joins: int, seconds: int, engine: str) -> Outcome:
    async with full_room(redis_url, SPEAKERS, LISTENERS, engine) as room:
        await room.node.kernel.rooms.create("quiet", "owner", RoomSettings())
        schedule = room.schedule(seconds)
        storm = Storm(room, "room" if joins <= HEARING_JOINS else "quiet", joins)
        give_core([room.worker_pid], 0)
        with tempfile.TemporaryDirectory(prefix="flylive-crowd-") as directory:
            player = room.player(SAMPLED_LISTENERS, directory)
            coming = asyncio.create_task(storm.run())
            before = cpu_seconds(room.worker_pid)
            async for _count in player.play(schedule, core=1):
                pass
            await coming
            used = cpu_seconds(room.worker_pid) - before
            heard = room.heard(schedule, player.played())
        pairs = list(zip(heard.departures_ns, heard.latencies_ms, strict=True))
        storm.close()
        return Outcome(
            storm.joined_seconds,
            storm.heard_seconds(),
            storm.failed,
            [latency for left, latency in pairs if left < storm.began_ns],
            [latency for left, latency in pairs if storm.began_ns <= left < storm.ended_ns],
            used / joins * 1000,
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sfu.crowd", description=__doc__)
    parser.add_argument("--joins", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20, help="that the room talks")
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    outcome = with_redis(lambda url: crowd(url, options.joins, options.seconds, options.engine))
    print(outcome)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
