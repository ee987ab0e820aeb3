"""`python -m tests.sfu.soak --minutes 10`: a room with ten speakers and three hundred listeners, for long.

The worker is a process of its own; its memory is looked at when everybody has joined and at the end. Users
join in Python and are played by the audio load generator: so many packets are too many for a Python process.
All packets that come back are counted, those of some listeners are looked into one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from loadtests.audio.hearing import FRAMES_PER_SECOND, Cast
from loadtests.audio.player import Count, percentile
from loadtests.audio.room import Exchange, Member
from state.events import Settings as RoomSettings
from state.media_commands import RtcOffer
from state.ports import Caller, Done
from tests.sfu.node import MediaNode, settings, with_redis
from tests.sfu.test_hostile import memory_of

SLOTS = 3
JOINS_AT_ONCE = 20
SAMPLED_LISTENERS = 4
WARM_SECONDS = 5
"""Until memory is looked at for the first time."""
ANNOUNCED_SECONDS = 2.0
"""By then the worker has told its last figures."""
STEPS = 6
"""Looks at memory after that, evenly spread."""


@dataclass(slots=True)
class Outcome:
    """What was heard, and what the worker says of itself."""

    counts: Counter[str]
    latencies_ms: list[float]
    expected: int
    """Packets that would have come if nothing ever paused."""
    received: int
    """Packets of audio that came to anybody."""
    forwarded: int
    """Datagrams of audio that the worker sent."""
    memory_bytes: list[int]
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Everybody was heard all the time, and every packet once and undamaged."""
        return (
            set(self.counts) <= {"packet", "silence"}
            and self.received == self.forwarded
            and self.received > 0.97 * self.expected - FRAMES_PER_SECOND
        )

    @property
    def grown_bytes(self) -> int:
        return self.memory_bytes[-1] - self.memory_bytes[0]

    def __str__(self) -> str:
        latencies = ", ".join(
            f"{name} {percentile(self.latencies_ms, share):.2f}"
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0))
        )
        memory = " ".join(f"{size / (1 << 20):.1f}" for size in self.memory_bytes)
        return (
            f"sampled listeners: {dict(self.counts)}; {self.forwarded} forwarded, {self.received} came "
            f"({self.received / self.expected:.1%} of the time); "
            f"latency in ms: {latencies}; memory in MiB: {memory}"
        )


@asynccontextmanager
async def full_room(redis_url: str, speakers: int, listeners: int, engine: str) -> AsyncIterator[FullRoom]:
    node = MediaNode(settings(redis_url, kind=engine, workers=1))
    room = FullRoom(node)
    try:
        await node.open(children=1)
        made = await node.kernel.rooms.create("room", "owner", RoomSettings(seat_count=speakers + 1))
        assert made is not None
        room.room.open()
        gate = asyncio.Semaphore(JOINS_AT_ONCE)
        names = [f"speaker{number}" for number in range(speakers)]
        await node.enter(*names)
        await node.seat(*names)
        room.speakers = list(await asyncio.gather(*(room.join(name, gate, 0, True) for name in names)))
        names = [f"listener{number}" for number in range(listeners)]
        room.listeners = list(await asyncio.gather(*(room.join(name, gate, SLOTS, False) for name in names)))
        yield room
    finally:
        room.room.close()
        await node.close()


def exchange_of(node: MediaNode, caller: Caller) -> Exchange:
    async def exchange(sdp: str) -> str:
        answer = await node.ask(caller, RtcOffer(sdp))
        assert isinstance(answer, Done), answer
        return str(answer.data["sdp"])

    return exchange


class FullRoom(Cast):
    """A room on a worker process."""

    def __init__(self, node: MediaNode) -> None:
        super().__init__()
        self.node = node

    async def join(self, name: str, gate: asyncio.Semaphore, slots: int, mic: bool) -> Member:
        member = self.room.add()
        async with gate:
            await member.join(exchange_of(self.node, self.node.caller(name)), slots=slots, mic=mic)
        return member

    @property
    def worker_pid(self) -> int:
        assert self.node.supervisor is not None
        return self.node.supervisor.children[0].pid

    async def figures(self) -> dict[str, float]:
        (worker,) = (await self.node.registry.workers(fresh=True)).values()
        return worker.figures


async def soak(redis_url: str, speakers: int, listeners: int, seconds: int, engine: str = "auto") -> Outcome:
    async with full_room(redis_url, speakers, listeners, engine) as room:
        schedule = room.schedule(seconds)
        memory: list[int] = []
        step = max(1, (seconds - WARM_SECONDS) // STEPS)
        with tempfile.TemporaryDirectory(prefix="flylive-soak-") as directory:
            player = room.player(SAMPLED_LISTENERS, directory)
            counts: list[Count] = []
            async for count in player.play(schedule):
                if len(counts) >= WARM_SECONDS and (len(counts) - WARM_SECONDS) % step == 0:
                    memory.append(memory_of(room.worker_pid))
                counts.append(count)
            memory.append(memory_of(room.worker_pid))
            await asyncio.sleep(ANNOUNCED_SECONDS)
            heard = room.heard(schedule, player.played())
        figures = await room.figures()
        return Outcome(
            heard.counts,
            heard.latencies_ms,
            expected=listeners * min(SLOTS, speakers) * FRAMES_PER_SECOND * seconds,
            received=counts[-1].media,
            forwarded=round(figures["packets_forwarded"]),
            memory_bytes=memory,
            figures=figures,
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sfu.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--speakers", type=int, default=10)
    parser.add_argument("--listeners", type=int, default=300)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    started, seconds = time.monotonic(), round(options.minutes * 60)
    outcome = with_redis(lambda url: soak(url, options.speakers, options.listeners, seconds, options.engine))
    print(f"{outcome}; {time.monotonic() - started:.0f} s; {outcome.figures}")
    return 0 if outcome.is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
