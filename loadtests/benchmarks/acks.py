"""Commands and their acks: 2,000 per second through the kernel, and the gateway's part of it beside Node.

The paced part is open loop: each user sends when its time has come, whether or not the answers are late. The
gateway's part is `sys:time`, which no kernel, store or room sees, in a closed loop with eight in flight.
"""

import asyncio
import secrets
from collections.abc import Callable

from loadtests import peers
from loadtests.benchmarks import processes
from loadtests.benchmarks.crowds import make_room, peer_auths, tokens
from loadtests.benchmarks.figures import Options, Report, Sample, at_most, in_turn, ratio
from loadtests.clients.conversation import Fields
from loadtests.clients.rest import Rest
from loadtests.clients.streams import Connection
from loadtests.traffic.world import gather_bounded

NAME = "acks"
MEASURES = "2,000 commands per second through the kernel; the gateway's part beside Node's echo"
LIMITS = {
    "command_p99": at_most(20.0),
    "command_cpu": at_most(120.0),
    "echo_ratio": at_most(1.2),
}
UNITS = {"command_p99": "ms", "command_p50": "ms", "command_cpu": "us", "echo": "us", "rate": "per s"}
USERS = 200
PER_SECOND = 2000
WINDOW = 8


async def connected(url: str, auths: list[Fields]) -> list[Connection]:
    async def one(auth: Fields) -> Connection:
        connection = Connection(url, "", auth=auth)
        await connection.connect()
        answer = await connection.call("room:join")
        if not answer["ok"]:
            raise RuntimeError(f"join refused: {answer}")
        return connection

    return list(await gather_bounded((one(auth) for auth in auths), 32))


async def echo(server: processes.Process, connections: list[Connection], total: int) -> float:
    """CPU per `sys:time`, in microseconds."""
    left = iter(range(total))

    async def speak(connection: Connection) -> None:
        for _ in left:
            await connection.call("sys:time", {"t0": 1})

    before = server.cpu_seconds()
    await asyncio.gather(*(speak(one) for one in connections for _ in range(WINDOW)))
    return (server.cpu_seconds() - before) / total * 1e6


async def paced(connections: list[Connection], seconds: float) -> list[float]:
    """Every user toggles its microphone in turn; latencies in milliseconds."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    refused: list[Fields | None] = []
    interval = len(connections) / PER_SECOND
    end = loop.time() + seconds

    def speak(connection: Connection, due: float, muted: bool) -> None:
        if due >= end:
            return
        connection.post("mic:set", {"muted": muted}, _answered(due))
        loop.call_at(due + interval, speak, connection, due + interval, not muted)

    def _answered(due: float) -> Callable[[Fields | None], None]:
        def answered(answer: Fields | None) -> None:
            if answer is None or not answer["ok"]:
                refused.append(answer)
            else:
                latencies.append((loop.time() - due) * 1000)

        return answered

    start = loop.time() + 0.1
    for number, connection in enumerate(connections):
        due = start + interval * number / len(connections)
        loop.call_at(due, speak, connection, due, True)
    await asyncio.sleep(seconds + 1.0)
    if refused:
        raise RuntimeError(f"{len(refused)} commands refused, the first: {refused[0]}")
    return sorted(latencies)


async def _ours(options: Options) -> Sample:
    async with processes.node() as server, Rest(server.url, server.service_key) as rest:
        prefix, count = secrets.token_hex(4), options.size(USERS, 20)
        rooms = [f"acks-{prefix}-{number}" for number in range(count)]
        auths = []
        for room_id in rooms:
            await make_room(rest, room_id)
            auths += await tokens(rest, room_id, [f"user-{room_id}"])
        connections = await connected(server.url, auths)
        for answer in await gather_bounded(one.call("seat:take", {"index": -1}) for one in connections):
            if not answer["ok"]:
                raise RuntimeError(f"no seat: {answer}")
        seconds = options.size(10, 2)
        await paced(connections, 1.0)
        before = server.cpu_seconds()
        latencies = await paced(connections, seconds)
        cpu = server.cpu_seconds() - before
        per_echo = await echo(server, connections, options.size(20_000, 1000))
        return {
            "command_p50": latencies[len(latencies) // 2],
            "command_p99": latencies[len(latencies) * 99 // 100],
            "command_cpu": cpu / len(latencies) * 1e6,
            "rate": len(latencies) / seconds,
            "echo": per_echo,
        }


async def _peer(options: Options) -> Sample:
    async with peers.node() as server:
        users = [f"user-{number}" for number in range(options.size(USERS, 20))]
        connections = await connected(server.url, peer_auths("acks", users))
        await echo(server, connections, 2000)
        return {"echo": await echo(server, connections, options.size(20_000, 1000))}


async def run(options: Options) -> Report:
    subjects = {"ours": lambda: _ours(options), "node": lambda: _peer(options)}
    found = await in_turn(subjects, UNITS, options)
    figures = [entry for named in found.values() for entry in named.values()]
    return Report((*figures, ratio("echo_ratio", found["ours"]["echo"], found["node"]["echo"])))
