"""One room, join and chat: our whole product beside the servers one writes today, with the same commands.

Subjects: ours (`flylive serve`: durable, followed from the stream), Node's socket.io with its in-memory and
with its Redis adapter, stock python-socketio. Everybody does the same: connect, `room:join`, then members say
`chat:send` one after the other and all hear it. CPU is that of the server process alone; Valkey's is a figure
of its own, because the in-memory servers have no such cost and no durability either.
"""

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from loadtests import peers
from loadtests.benchmarks import processes
from loadtests.benchmarks.figures import Limit, Options, Report, Sample, in_turn
from loadtests.benchmarks.units import UNLIMITED
from loadtests.clients.conversation import Fields
from loadtests.clients.rest import Rest
from loadtests.clients.streams import Connection
from loadtests.traffic.world import gather_bounded

NAME = "peers"
MEASURES = "join and chat of one room: ours beside Node (plain, Redis adapter) and stock python-socketio"
LIMITS: dict[str, Limit] = {}
UNITS = {"join_us": "us", "chat_us": "us per message", "deliveries": "per CPU s", "chat_p99_ms": "ms"}
HEARD_SECONDS = 60.0
IN_FLIGHT = 64
SPEAKERS = 8
WARM_ROUNDS = 3


class Ears:
    """Counts what all members of the room hear."""

    def __init__(self) -> None:
        self.count = 0
        self.awaited = 0
        self.reached = asyncio.Event()

    def on_event(self, _connection: Connection, name: str, _body: Any, _position: str | None) -> None:
        if name == "chat:message":
            self.count += 1
            if self.count >= self.awaited:
                self.reached.set()

    def on_lost(self, _connection: Connection, reason: str) -> None:
        raise RuntimeError(f"a member was lost: {reason}")

    async def hear(self, count: int, work: Awaitable[Any]) -> None:
        self.count, self.awaited = 0, count
        self.reached.clear()
        await work
        async with asyncio.timeout(HEARD_SECONDS):
            await self.reached.wait()


Auths = Callable[[str, int], Awaitable[list[Fields]]]


async def measure(server: processes.Process, auths: Auths, options: Options) -> Sample:
    room_id, users = f"peers-{secrets.token_hex(4)}", options.size(200, 40)
    messages = options.size(1200, 80)
    ears = Ears()
    members = [Connection(server.url, "", ears, auth=auth) for auth in await auths(room_id, users)]

    async def enter(member: Connection) -> None:
        await member.connect()
        answer = await member.call("room:join")
        if not answer["ok"]:
            raise RuntimeError(f"join refused: {answer}")

    await enter(members[0])
    before = server.cpu_seconds()
    await gather_bounded((enter(member) for member in members[1:]), IN_FLIGHT)
    joined = server.cpu_seconds() - before
    delays: list[float] = []
    before = server.cpu_seconds()
    await ears.hear(messages * users, _chat(members[:SPEAKERS], messages, delays))
    spent = max(0.01, server.cpu_seconds() - before)
    for member in members:
        member.leave()
    return {
        "join_us": joined / (users - 1) * 1e6,
        "chat_us": spent / messages * 1e6,
        "deliveries": messages * users / spent,
        "chat_p99_ms": sorted(delays)[int(len(delays) * 0.99)] * 1000,
    }


async def _chat(speakers: list[Connection], messages: int, delays: list[float]) -> None:
    loop = asyncio.get_running_loop()

    async def speak(member: Connection) -> None:
        for number in range(messages // len(speakers)):
            asked = loop.time()
            answer = await member.call("chat:send", {"text": f"hello everyone, message {number}"})
            if not answer["ok"]:
                raise RuntimeError(f"chat refused: {answer}")
            delays.append(loop.time() - asked)

    await asyncio.gather(*(speak(member) for member in speakers))


async def _peer_auths(room_id: str, users: int) -> list[Fields]:
    return [
        {"token": peers.TOKEN, "room_id": room_id, "user_id": f"user-{number}"} for number in range(users)
    ]


@contextlib.asynccontextmanager
async def _ours() -> AsyncIterator[tuple[processes.Process, Auths, str]]:
    """-> the node, tokens for a room made on the way, and the URL of its Valkey"""
    async with processes.node(environment=UNLIMITED) as server, Rest(server.url, server.service_key) as rest:

        async def auths(room_id: str, users: int) -> list[Fields]:
            fields = {"room_id": room_id, "owner_id": "owner", "name": "peers", "capacity": 1000}
            await rest.required("POST", "/v1/rooms", fields)
            tokens = await gather_bounded(rest.token(room_id, f"user-{number}") for number in range(users))
            return [{"token": token} for token in tokens]

        urls = msgspec.json.decode((server.log.parent / "data" / "urls.json").read_bytes())
        yield server, auths, urls["redis_url"]


async def run(options: Options) -> Report:
    async with (
        _ours() as (server, auths, redis_url),
        peers.node() as node,
        peers.node(redis_url=redis_url) as node_redis,
        peers.python_socketio() as stock,
    ):
        stages: dict[str, tuple[processes.Process, Auths]] = {
            "ours": (server, auths),
            "node": (node, _peer_auths),
            "node, redis adapter": (node_redis, _peer_auths),
            "python-socketio": (stock, _peer_auths),
        }
        # Compilers and caches warm up on a round that counts for nobody.
        warm = msgspec.structs.replace(options, quick=True)
        for stage in stages.values():
            for _ in range(WARM_ROUNDS):
                await measure(*stage, warm)
        subjects = {name: functools.partial(measure, *stage, options) for name, stage in stages.items()}
        found = await in_turn(subjects, UNITS, options)
    figures = tuple(entry for named in found.values() for entry in named.values())
    note = "ours commits each message durably and follows it from the stream; the peers keep it in memory"
    return Report(figures, (note,))
