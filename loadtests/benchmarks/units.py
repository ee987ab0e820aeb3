"""What one join, one command, one delivered event, one gift, one idle connection costs this machine, as CPU
time of each server process of one node: the units that the capacity model multiplies.

Everything goes through real sockets and REST against `flylive serve`; a cost is a difference of CPU time
over many repetitions, so what the node does anyway (timers, metrics) is measured idle and taken off.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from loadtests.benchmarks import processes
from loadtests.benchmarks.figures import Figure, Limit, Options, Report, figure
from loadtests.clients.rest import Rest
from loadtests.clients.streams import Connection
from loadtests.traffic.scenario import Scenario
from loadtests.traffic.world import gather_bounded, gift_fields

NAME = "units"
MEASURES = "CPU per join, command, delivered event, gift, token and idle second; memory per connection"
LIMITS: dict[str, Limit] = {}

MICROSECONDS = 1e6
PARTS = {"node": (), "valkey": ("valkey-server", "redis-server"), "postgres": ("postgres",)}
ROOM_SIZE = 50
IN_FLIGHT = 32
# How each unit is measured, in words: the capacity model repeats them beside what it multiplies.
METHODS = {
    "base": "memory of a fresh node (proportional set size)",
    "memory": "what it grows by per user who connected and joined, rooms of 50",
    "idle": "a second of a joined connection that only answers pings: 1,000 of them less none",
    "token": "POST /v1/rooms/ID/tokens",
    "join": "connect, authenticate, room:join with its snapshot, rooms of 50",
    "command": "chat:send with its ack, alone in a room",
    "delivery": "chat:send in a room of 50 less alone, per further member",
    "gift": "gift:send of 32 senders at once, less its deliveries",
}
# One user asks here as often as many would: limits per user and connection are out of the way.
UNLIMITED = {
    f"FLYLIVE_GATEWAY_RATE_{name}": "100000/1000000"
    for name in ("CONNECTION_EVENTS", "CONNECTION_CHAT", "USER_EVENTS", "USER_CHAT", "ROOM_CHAT", "NODE_CHAT")
}
SCENARIO = Scenario("units", "Unit costs", (), ())

Costs = dict[str, float]


class Bench:
    """One node with its users; reads the CPU of its parts."""

    def __init__(self, server: processes.Process, rest: Rest, options: Options):
        self.server, self.rest, self.options = server, rest, options
        self.kept: list[Connection] = []
        self.idle: Costs = dict.fromkeys(PARTS, 0.0)

    def cpu(self) -> Costs:
        return {
            part: self.server.part_cpu_seconds(*words) if words else self.server.cpu_seconds()
            for part, words in PARTS.items()
        }

    async def cost(self, repetitions: int, work: Callable[[], Awaitable[object]]) -> Costs:
        """CPU per repetition and part, in microseconds, without what idling would have cost."""
        before, started = self.cpu(), time.monotonic()
        await work()
        # What was asked is answered; what follows from it (fan-out, outbox) gets a moment to be done.
        await asyncio.sleep(0.5)
        elapsed, after = time.monotonic() - started, self.cpu()
        return {
            part: max(0.0, after[part] - before[part] - self.idle[part] * elapsed)
            / repetitions
            * MICROSECONDS
            for part in PARTS
        }

    async def measure_idle(self, seconds: float) -> Costs:
        before, started = self.cpu(), time.monotonic()
        await asyncio.sleep(seconds)
        elapsed, after = time.monotonic() - started, self.cpu()
        return {part: (after[part] - before[part]) / elapsed for part in PARTS}

    async def make_room(self, room_id: str) -> None:
        fields = {"room_id": room_id, "owner_id": f"owner-{room_id}", "name": "units", "capacity": 1000}
        await self.rest.required("POST", "/v1/rooms", fields)

    async def join(self, room_id: str, users: int, run: int) -> list[Connection]:
        """Connected, but not yet in: the token is not part of the join's cost."""
        tokens = await gather_bounded(
            self.rest.token(room_id, f"u{run}-{number}-{room_id}") for number in range(users)
        )
        return [Connection(self.server.url, token) for token in tokens]

    async def enter(self, connections: list[Connection]) -> None:
        async def one(connection: Connection) -> None:
            await connection.connect()
            answer = await connection.call("room:join")
            if not answer["ok"]:
                raise RuntimeError(f"join refused: {answer}")

        await gather_bounded((one(connection) for connection in connections), IN_FLIGHT)

    async def chat(self, speakers: list[Connection], messages: int) -> None:
        async def some(connection: Connection, count: int) -> None:
            for number in range(count):
                answer = await connection.call("chat:send", {"text": f"message number {number}"})
                if not answer["ok"]:
                    raise RuntimeError(f"chat refused: {answer}")

        await asyncio.gather(*(some(one, messages // len(speakers)) for one in speakers))

    async def gifts(self, senders: list[Connection], room_id: str, count: int, run: int) -> None:
        async def some(number: int, connection: Connection) -> None:
            for step in range(count // len(senders)):
                fields = {
                    "gift_id": SCENARIO.money.gift_id,
                    "quantity": 1,
                    "recipients": [f"owner-{room_id}"],
                    "idempotency_key": f"units-{run}-{number}-{step}",
                }
                answer = await connection.call("gift:send", fields)
                if not answer["ok"]:
                    raise RuntimeError(f"gift refused: {answer}")

        await asyncio.gather(*(some(number, one) for number, one in enumerate(senders)))


async def _round(bench: Bench, run: int) -> dict[str, Costs]:
    """All units once, on fresh rooms. -> unit -> cost by part

    The connections stay: a later round must not move into the memory that an earlier one has freed.
    """
    size, options = ROOM_SIZE, bench.options
    bench.idle = await bench.measure_idle(options.size(6, 2))
    rooms, messages = options.size(8, 2), options.size(1600, 160)
    room_ids = [f"units-{run}-{number}" for number in range(rooms)]
    for room_id in [*room_ids, *(f"solo-{room_id}" for room_id in room_ids)]:
        await bench.make_room(room_id)
    costs: dict[str, Costs] = {}
    waiting: list[list[Connection]] = []

    async def tokens() -> None:
        waiting.extend([await bench.join(room_id, size, run) for room_id in room_ids])

    costs["token"] = await bench.cost(rooms * size, tokens)
    memory = bench.server.memory_bytes()
    costs["join"] = await bench.cost(
        rooms * size, lambda: gather_bounded(bench.enter(connections) for connections in waiting)
    )
    costs["memory"] = {"node": (bench.server.memory_bytes() - memory) / (rooms * size)}
    solo = [(await bench.join(f"solo-{room_id}", 1, run))[0] for room_id in room_ids]
    await bench.enter(solo)
    costs["command"] = await bench.cost(messages, lambda: bench.chat(solo, messages))
    speakers = [connections[0] for connections in waiting]
    in_rooms = await bench.cost(messages, lambda: bench.chat(speakers, messages))
    costs["delivery"] = {
        part: max(0.0, in_rooms[part] - costs["command"][part]) / (size - 1) for part in PARTS
    }
    costs["gift"] = await _gift_cost(bench, waiting[0][:IN_FLIGHT], room_ids[0], run)
    # A gift is delivered to the whole room; deliveries are counted apart.
    costs["gift"]["node"] = max(0.0, costs["gift"]["node"] - costs["delivery"]["node"] * size)
    bench.kept += [*solo, *(one for connections in waiting for one in connections)]
    return costs


async def _gift_cost(bench: Bench, senders: list[Connection], room_id: str, run: int) -> Costs:
    """Gifts of many senders at once: the ledger writes what arrives together in one statement."""
    count = bench.options.size(1600, 160)
    for number in range(len(senders)):
        key = f"units-{run}-{number}"
        credit = {"amount": 10**9, "currency": "coins", "reason": "units", "reference": key}
        await bench.rest.required("POST", f"/v1/users/u{run}-{number}-{room_id}/credits", credit, key)
    return await bench.cost(count, lambda: bench.gifts(senders, room_id, count, run))


def _figures(rounds: list[dict[str, Costs]], idle_per_connection: list[Costs]) -> list[Figure]:
    found = []
    for unit in rounds[0]:
        for part in rounds[0][unit]:
            runs = [costs[unit][part] for costs in rounds]
            measured = "bytes" if unit == "memory" else "us"
            found.append(figure(f"{unit}_{part}_{measured}", measured, runs))
    for part in PARTS:
        found.append(figure(f"idle_{part}_us", "us/s", [costs[part] for costs in idle_per_connection]))
    return found


async def run(options: Options) -> Report:
    async with processes.node(environment=UNLIMITED) as server, Rest(server.url, server.service_key) as rest:
        bench = Bench(server, rest, options)
        await rest.required("PUT", f"/v1/gifts/{SCENARIO.money.gift_id}", gift_fields(SCENARIO))
        await asyncio.sleep(2)
        base = figure("base_node_bytes", "bytes", [float(server.memory_bytes())])
        rounds = []
        for number in range(options.repeats):
            rounds.append(await _round(bench, number))
            options.say(f"  round {number + 1}/{options.repeats}: {rounds[-1]}")
        idle = await _idle_of_connections(bench, options)
        notes = ("chat of 20-byte texts; rooms of 50; gifts by 32 senders at once in one room",)
        return Report((*_figures(rounds, idle), base), notes)


async def _idle_of_connections(bench: Bench, options: Options) -> list[Costs]:
    """What a connection that only answers pings costs per second."""
    count = options.size(1000, 100)
    room_ids = [f"idle-{number}" for number in range(count // ROOM_SIZE)]
    bench.idle = await bench.measure_idle(options.size(10, 3))
    connections: list[Connection] = []
    for room_id in room_ids:
        await bench.make_room(room_id)
        connections += await bench.join(room_id, ROOM_SIZE, 0)
    await bench.enter(connections)
    await asyncio.sleep(2)
    costs = []
    for _ in range(options.repeats):
        with_them = await bench.measure_idle(options.size(10, 3))
        costs.append(
            {part: max(0.0, with_them[part] - bench.idle[part]) / count * MICROSECONDS for part in PARTS}
        )
    for connection in connections:
        connection.leave()
    return costs
