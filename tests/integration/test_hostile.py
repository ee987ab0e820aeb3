"""Packets that are well formed and wrong: refused or the sender is closed, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.clients.streams import Connection
from state.commands import COMMAND_TYPES
from tests.integration.nodes import Cluster, token
from tests.integration.storms import Watcher

PACKETS = 3000
SENDERS = 6
GROWTH_BYTES = 40 << 20
WRONG: list[Any] = [
    None,
    True,
    -1,
    0,
    2**70,
    1.5,
    "",
    "x" * 5000,
    "\x00",
    [],
    [[]],
    {},
    {"a": {"b": {}}},
    "lounge",
    "ann",
    "e:1",
    ["ann"] * 50,
]
RESERVED = ["connect", "disconnect", "connect_error", "newListener", "removeListener"]


class Mischief:
    """Draws packets near the contract: right names with wrong fields, wrong names, wrong shapes."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def fields(self, name: str) -> Any:
        dice = self.dice
        kind = COMMAND_TYPES.get(name)
        known = [field for field in kind.__struct_fields__ if field != "cid"] if kind else ["index"]
        chosen = {field: dice.choice(WRONG) for field in known if dice.random() < 0.8}
        if dice.random() < 0.1:
            chosen["extra"] = 1
        return dice.choice(WRONG) if dice.random() < 0.1 else chosen

    def packet(self, number: int) -> str:
        dice = self.dice
        names = [name for name in COMMAND_TYPES if name not in ("room:close", "room:leave")]
        name = dice.choice([*names, *names, "no:such", "internal:mark_away", "x" * 300])
        arguments: list[Any] = [name, self.fields(name)]
        if dice.random() < 0.05:
            arguments.append(dice.choice(WRONG))
        ack = "" if dice.random() < 0.2 else str(number % 1000)
        return f"42{ack}{json.dumps(arguments)}"


def memory_bytes(nodes: Cluster) -> int:
    pages = Path(f"/proc/{nodes.nodes[0].process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


async def nuisance(http: aiohttp.ClientSession, url: str, seed: int, count: int) -> int:
    """One sender that comes back whenever it is thrown out; how often it was."""
    mischief, thrown_out, sent = Mischief(seed), 0, 0
    while sent < count:
        async with http.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket") as socket:
            await socket.receive()
            await socket.send_str("40" + json.dumps({"token": token(f"hostile{seed}", role="admin")}))
            if mischief.dice.random() < 0.8:
                await socket.send_str('421["room:join",{}]')
            reading = asyncio.create_task(drain(socket))
            while sent < count and not socket.closed:
                sent += 1
                if mischief.dice.random() < 0.002:
                    reserved = mischief.dice.choice(RESERVED)
                    await socket.send_str(f'42["{reserved}",{{}}]')
                else:
                    await socket.send_str(mischief.packet(sent))
                if sent % 20 == 0:
                    await asyncio.sleep(0.01)
            reading.cancel()
            thrown_out += socket.closed
    return thrown_out


async def drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def test_wrong_packets_hurt_nobody(nodes: Cluster) -> None:
    node = await nodes.start()
    await nodes.room()
    watch = Watcher()
    witness = Connection(node.url, token("witness"), watch)
    await witness.connect()
    await witness.call("room:join", {}, notice=watch.on_joined)
    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(nuisance(http, node.url, 100 + seed, 200) for seed in range(SENDERS)))
        before = memory_bytes(nodes)
        thrown = await asyncio.gather(
            *(nuisance(http, node.url, seed, PACKETS // SENDERS) for seed in range(SENDERS))
        )
    assert sum(thrown) > 0, "who does not stop is thrown out"
    answer = await witness.call("chat:send", {"text": "still here"})
    assert answer["ok"], answer
    async with asyncio.timeout(10):
        while watch.seqs[-1] < answer["data"]["seq"]:
            await asyncio.sleep(0.01)
    assert watch.seqs == list(range(watch.seqs[0], watch.seqs[0] + len(watch.seqs)))
    assert memory_bytes(nodes) - before < GROWTH_BYTES
    witness.leave()
    await nodes.stop(node)
    failures = [line for line in nodes.logs() if line.get("level") in ("error", "critical")]
    assert failures == []
