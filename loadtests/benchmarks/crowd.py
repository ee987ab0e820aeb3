"""Ten thousand connections in a hundred rooms with a hundred chat messages per second, and one room of five
thousand.

Delivery is measured from the moment the command is sent to the moment a listener has read the event; the
longest hold of the loop is what the node says of itself in its metrics.
"""

import asyncio
import secrets
import time

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
UNITS = {"memory": "bytes", "delivery_p50": "ms", "delivery_p99": "ms", "cpu": "cores", "deliveries": "per s"}
ROOMS = 100
PER_ROOM = 100
MESSAGES_PER_SECOND = 100
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
        before, seconds = server.cpu_seconds(), options.size(15, 3)
        await _talk(rest, rooms, seconds)
        await crowd.settle()
        found = sorted(crowd.latencies)
        return {
            "memory": float(server.memory_bytes()),
            "delivery_p50": found[len(found) // 2],
            "delivery_p99": found[len(found) * 99 // 100],
            "cpu": (server.cpu_seconds() - before) / seconds,
            "deliveries": len(found) / seconds,
        }


async def _talk(rest: Rest, rooms: list[str], seconds: float) -> None:
    """Messages at an even pace, to one room after the other."""
    loop, tasks = asyncio.get_running_loop(), set()
    start = loop.time()
    for number in range(int(seconds * MESSAGES_PER_SECOND)):
        await asyncio.sleep(max(0.0, start + number / MESSAGES_PER_SECOND - loop.time()))
        text = f"{MARK.decode()}{time.perf_counter_ns():020}"
        body = {"command": "chat:send", "fields": {"text": text}}
        call = rest.required("POST", f"/v1/rooms/{rooms[number % len(rooms)]}/commands", body)
        tasks.add(asyncio.ensure_future(call))
    await asyncio.gather(*tasks)


async def run(options: Options) -> Report:
    found = await in_turn({"ours": lambda: _measure(options)}, UNITS, options)
    return Report(tuple(found["ours"].values()))
