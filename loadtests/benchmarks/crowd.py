"""Ten thousand connections in a hundred rooms with a hundred chat messages per second, and one room of five
thousand.

Delivery is measured from the moment the command is sent to the moment a listener has read the event. While
the large room is talked in, the node's own watch over its loop says in how many of its looks a timer was more
than 5 ms late, for whatever reason: a fan-out that holds the loop, the collector, a machine that was busy.
"""

import asyncio
import secrets
import time

import aiohttp

from loadtests.benchmarks import processes
from loadtests.benchmarks.crowds import Crowd, make_room, tokens
from loadtests.benchmarks.figures import Options, Report, Sample, at_most, in_turn
from loadtests.clients.rest import Rest

NAME = "crowd"
MEASURES = "10,000 connections in 100 rooms with 100 messages/s: memory and delivery"
LIMITS = {
    "memory": at_most(400e6),
    "delivery_p99": at_most(200.0),
}
UNITS = {
    "memory": "bytes",
    "delivery_p50": "ms",
    "delivery_p99": "ms",
    "cpu": "cores",
    "deliveries": "per s",
    "large_delivery_p99": "ms",
    "late_looks": "of all",
}
ROOMS = 100
PER_ROOM = 100
MESSAGES_PER_SECOND = 100
LARGE_ROOM = 5000
LARGE_MESSAGES = 40
LARGE_PER_SECOND = 5
MARK = b"sent-at-"


class Listener(Crowd):
    """A crowd that knows when what it hears was sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.latencies: list[float] = []

    def _count(self, data: bytes) -> None:
        super()._count(data)
        now = time.perf_counter_ns()
        for part in data.split(MARK)[1:]:
            self.latencies.append((now - int(part[:20])) / 1e6)


async def _measure(options: Options) -> Sample:
    async with processes.node() as server, Rest(server.url, server.service_key) as rest:
        prefix = secrets.token_hex(4)
        rooms = [f"crowd-{prefix}-{number}" for number in range(options.size(ROOMS, 5))]
        crowd = Listener(server.url)
        for room_id in rooms:
            await make_room(rest, room_id)
            await crowd.enter(await tokens(rest, room_id, [f"u{number}" for number in range(PER_ROOM)]))
        await crowd.settle()
        crowd.heard, crowd.latencies = 0, []
        before, seconds = server.cpu_seconds(), options.size(10, 3)
        await _talk(rest, rooms, int(seconds * MESSAGES_PER_SECOND), MESSAGES_PER_SECOND)
        await crowd.settle()
        found = sorted(crowd.latencies)
        sample: dict[str, float] = {
            "memory": float(server.memory_bytes()),
            "delivery_p50": found[len(found) // 2],
            "delivery_p99": found[len(found) * 99 // 100],
            "cpu": (server.cpu_seconds() - before) / seconds,
            "deliveries": len(found) / seconds,
        }
        crowd.drop()
        return {**sample, **await _large_room(server, rest, options)}


async def _large_room(server: processes.Process, rest: Rest, options: Options) -> Sample:
    room_id, crowd = f"crowd-{secrets.token_hex(4)}", Listener(server.url)
    users = options.size(LARGE_ROOM, 200)
    await make_room(rest, room_id)
    await crowd.enter(await tokens(rest, room_id, [f"u{number}" for number in range(users)]))
    await crowd.settle()
    crowd.latencies = []
    looks, in_time = await _looks(server)
    await _talk(rest, [room_id], options.size(LARGE_MESSAGES, 5), LARGE_PER_SECOND)
    await crowd.settle()
    looks_after, in_time_after = await _looks(server)
    looks, in_time = looks_after - looks, in_time_after - in_time
    found = sorted(crowd.latencies)
    crowd.drop()
    return {
        "large_delivery_p99": found[len(found) * 99 // 100],
        "late_looks": (looks - in_time) / max(1.0, looks),
    }


async def _looks(server: processes.Process) -> tuple[float, float]:
    """How often the node has looked at its loop, and how often that was at most 5 ms late."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as answer:
        text = await answer.text()
    lag = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("flylive_loop_lag"))
    return (
        float(lag["flylive_loop_lag_seconds_count"]),
        float(lag['flylive_loop_lag_seconds_bucket{le="0.005"}']),
    )


async def _talk(rest: Rest, rooms: list[str], count: int, per_second: float) -> None:
    """Messages at an even pace, to one room after the other."""
    loop, tasks = asyncio.get_running_loop(), set()
    start = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / per_second - loop.time()))
        text = f"{MARK.decode()}{time.perf_counter_ns():020}"
        body = {"command": "chat:send", "fields": {"text": text}}
        call = rest.required("POST", f"/v1/rooms/{rooms[number % len(rooms)]}/commands", body)
        tasks.add(asyncio.ensure_future(call))
    await asyncio.gather(*tasks)


async def run(options: Options) -> Report:
    found = await in_turn({"ours": lambda: _measure(options)}, UNITS, options)
    return Report(tuple(found["ours"].values()))
