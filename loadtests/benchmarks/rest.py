"""What one node's REST does: gifts and tokens per second of its core, and how soon a calm caller is answered.

Requests go over plain keep-alive sockets, prebuilt, so that the client's work on the other core stays
small. The node's share is its CPU time (without its databases); what a core would carry is requests over
that time.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import msgspec

from loadtests.benchmarks import processes
from loadtests.benchmarks.figures import Options, Report, Sample, at_least, at_most, in_turn
from loadtests.clients.rest import Rest

NAME = "rest"
MEASURES = "gifts and tokens per second of a node's core, a lone gift, and mixed calls"
LIMITS = {
    "gifts_per_core_second": at_least(1_500),
    "gifts_p99_ms": at_most(100),
    "lone_gift_p50_ms": at_most(10),
    "tokens_per_core_second": at_least(3_000),
    "mixed_p95_ms": at_most(50),
}
ROOM, STARS, SENDERS = "bench", 8, 200
CONNECTIONS = 48
PACE = 1_500  # gifts a second, offered
MIXED_PACE = 10_000 / 60


class Wire:
    """One keep-alive connection that sends a request and reads the answer's status."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes) -> int:
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        start = head.index(b"Content-Length: ") + 16
        await self.reader.readexactly(int(head[start : head.index(b"\r", start)]))
        return int(head[9:12])


class Caller:
    """Prebuilt requests to one server."""

    def __init__(self, server: processes.Process) -> None:
        self.server = server
        self.numbers = itertools.count(random.randrange(10**9) * 10**6)

    def request(self, method: str, path: str, body: object = None, key: str = "") -> bytes:
        raw = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.server.service_key}\r\n"
        )
        head += f"Idempotency-Key: {key}\r\n" if key else ""
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw

    def gift(self) -> bytes:
        number = next(self.numbers)
        body = {
            "gift_id": "rose",
            "quantity": 1,
            "recipients": [f"star-{number % STARS}"],
            "sender_id": f"fan-{number % SENDERS}",
        }
        return self.request("POST", f"/v1/rooms/{ROOM}-{number % STARS}/gifts", body, str(number))

    def token(self) -> bytes:
        number = next(self.numbers)
        body = {"user_id": f"user-{number % 1000}", "name": "A name", "role": "member"}
        return self.request("POST", f"/v1/rooms/{ROOM}-{number % STARS}/tokens", body)

    def mixed(self) -> bytes:
        user = f"fan-{random.randrange(SENDERS)}"
        reads = ("/v1/gifts", "/v1/rooms?limit=20", f"/v1/users/{user}/wallet", "/v1/boards/senders")
        makers: list[Callable[[], bytes]] = [self.gift, self.token, self.token]
        makers += [partial(self.request, "GET", path) for path in reads]
        return random.choice(makers)()

    async def wires(self, number: int) -> list[Wire]:
        opened = (asyncio.open_connection("127.0.0.1", self.server.port) for _ in range(number))
        return [Wire(reader, writer) for reader, writer in await asyncio.gather(*opened)]


class Measured(msgspec.Struct, frozen=True):
    per_second: float
    per_core_second: float
    seconds: list[float]

    def percentile_ms(self, share: float) -> float:
        return 1_000 * sorted(self.seconds)[int(len(self.seconds) * share)]


async def load(caller: Caller, make: Callable[[], bytes], count: int, wires: int, pace: float) -> Measured:
    """So many requests over so many connections; with a pace, each has its time and may be late."""
    taken: list[float] = []
    start = time.perf_counter()
    turns: Iterator[int] = iter(range(count))

    async def drive(wire: Wire) -> None:
        for turn in turns:
            due = start + turn / pace if pace else time.perf_counter()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            status = await wire.ask(make())
            if status >= 300:
                raise RuntimeError(f"a request was answered {status}")
            taken.append(time.perf_counter() - due)

    before = caller.server.cpu_seconds()
    opened = await caller.wires(wires)
    await asyncio.gather(*map(drive, opened))
    elapsed, cpu = time.perf_counter() - start, caller.server.cpu_seconds() - before
    for wire in opened:
        wire.writer.close()
    return Measured(count / elapsed, count / cpu, taken)


async def prepare(server: processes.Process) -> None:
    async with Rest(server.url, server.service_key) as rest:
        await rest.required("PUT", "/v1/gifts/rose", {"name": "Rose", "price": 10, "combo": True})
        for number in range(STARS):
            room = {"room_id": f"{ROOM}-{number}", "name": "Bench", "owner_id": f"star-{number}"}
            await rest.required("POST", "/v1/rooms", room)
    caller = Caller(server)
    (wire,) = await caller.wires(1)
    for number in range(SENDERS):
        name = f"fill-{number}"
        body = {"amount": 10**12, "currency": "coins", "reason": "bench", "reference": name}
        status = await wire.ask(caller.request("POST", f"/v1/users/fan-{number}/credits", body, name))
        assert status == 201, status
    wire.writer.close()


async def gifts(caller: Caller, options: Options) -> Sample:
    full = await load(caller, caller.gift, options.size(8_000, 500), CONNECTIONS, 0)
    paced = await load(caller, caller.gift, options.size(7_500, 500), CONNECTIONS, PACE)
    return {
        "gifts_per_second": full.per_second,
        "gifts_per_core_second": full.per_core_second,
        "gifts_p99_ms": paced.percentile_ms(0.99),
    }


async def lone(caller: Caller, options: Options) -> Sample:
    measured = await load(caller, caller.gift, options.size(100, 30), 1, 20)
    return {"lone_gift_p50_ms": measured.percentile_ms(0.5)}


async def tokens(caller: Caller, options: Options) -> Sample:
    measured = await load(caller, caller.token, options.size(10_000, 500), CONNECTIONS, 0)
    return {"tokens_per_second": measured.per_second, "tokens_per_core_second": measured.per_core_second}


async def mixed(caller: Caller, options: Options) -> Sample:
    measured = await load(caller, caller.mixed, options.size(1_000, 200), 16, MIXED_PACE)
    return {"mixed_p95_ms": measured.percentile_ms(0.95)}


async def run(options: Options) -> Report:
    units = {name: "ms" if name.endswith("ms") else "1/s" for name in LIMITS}
    async with processes.node(environment={"FLYLIVE_SFU_WORKERS": "0"}) as server:
        await prepare(server)
        caller = Caller(server)

        async def all_of_them() -> Sample:
            parts: tuple[Callable[[Caller, Options], Awaitable[Sample]], ...] = (gifts, lone, tokens, mixed)
            return {name: value for part in parts for name, value in (await part(caller, options)).items()}

        measured = await in_turn({"ours": all_of_them}, units, options)
    note = (
        f"{CONNECTIONS} keep-alive connections; gifts of {SENDERS} senders to {STARS} stars in {STARS} rooms"
    )
    return Report(tuple(measured["ours"].values()), (note,))
