"""Forced reconnects at random points, with traffic: nothing missed, nothing twice, always recovered.

    python -m tests.integration.reconnects --count 1000 --seed 1

Real clients reach real nodes through relays. In each round every client loses its connection in one of
several ways (cut, left half open, its node killed with SIGKILL, another node behind the address), while the
room is talked in and money moves. In the end every client must have seen every message exactly once and in
order, every number of the room, every change of its wallet, and `recovered` must be true each time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from realtime.embedded.servers import EmbeddedServers, Urls
from state.commands import ChatSend
from state.identity import Actor
from state.ports import Done
from state.rejections import Unavailable
from tests.integration.clients import Client, Clients, real_clients
from tests.integration.nodes import Cluster, cluster, token
from tests.integration.relay import Relay
from tests.processes import NodeProcess

SPEAKER = Actor("speaker", role="owner", present=True)
KINDS: list[dict[str, Any]] = [
    {"transports": ["websocket"], "parser": "json"},
    {"transports": ["websocket"], "parser": "msgpack"},
    {"transports": ["polling"], "parser": "json"},
    {"transports": ["websocket"], "parser": "json", "library": "4.6"},
]
BACK_SECONDS = 40.0
KILL_EVERY = 20  # rounds
RETRY_SECONDS = 0.1


async def speak(cluster: Cluster, said: list[str]) -> None:
    """The next message; this process is busy with others and may need several tries, of which one counts."""
    text = str(len(said))
    while True:
        try:
            command = ChatSend(text=text, cid=f"said-{text}")
            answer = await cluster.kernel.rooms.perform("lounge", SPEAKER, command)
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)
            continue
        assert isinstance(answer, Done), answer
        said.append(text)
        return


class Result(msgspec.Struct):
    reconnects: int
    kills: int
    messages: int
    letters: int
    median_back_ms: float
    worst_back_ms: float


class Storm:
    """One run."""

    def __init__(self, cluster: Cluster, clients: Clients, dice: random.Random) -> None:
        self.cluster, self.clients, self.dice = cluster, clients, dice
        self.nodes: list[NodeProcess] = []
        self.walkers: list[tuple[Client, Relay]] = []
        self.said: list[str] = []
        self.coins: dict[str, list[int]] = {}
        self.back_ms: list[float] = []
        self.polling: set[str] = set()
        self.kills = 0

    async def begin(self, walkers: int) -> None:
        self.nodes = list(await asyncio.gather(self.cluster.start(), self.cluster.start()))
        await self.cluster.room()
        for number in range(walkers):
            relay = Relay(self.dice.choice(self.nodes).url)
            await relay.start()
            name = f"w{number}"
            kind = KINDS[number % len(KINDS)]
            if kind["transports"] == ["polling"]:
                self.polling.add(name)
            client = await self.clients.open(name, relay.url, token(name), **kind)
            await client.join()
            self.walkers.append((client, relay))
            self.coins[name] = []

    async def say(self) -> None:
        await speak(self.cluster, self.said)

    async def pay(self) -> None:
        name = self.dice.choice(self.walkers)[0].name
        coins = len(self.coins[name])
        await self.cluster.kernel.inbox.post(name, "wallet:updated", {"coins": coins})
        self.coins[name].append(coins)

    async def traffic(self, parts: int) -> None:
        for _ in range(parts):
            await self.say()
            if self.dice.random() < 0.5:
                await self.pay()
            await asyncio.sleep(self.dice.random() * 0.02)

    async def round(self, number: int) -> None:
        talking = asyncio.create_task(self.traffic(6))
        spare = None
        if number % KILL_EVERY == KILL_EVERY // 2:
            spare = asyncio.create_task(self._kill_one())
        before = [len((await client.state())["connects"]) for client, _ in self.walkers]
        for client, relay in self.walkers:
            await self._disturb(client, relay)
            await asyncio.sleep(self.dice.random() * 0.01)
        began = time.monotonic()
        for (client, _), count in zip(self.walkers, before, strict=True):
            await client.connected(count + 1, BACK_SECONDS)
        self.back_ms.append((time.monotonic() - began) * 1000)
        await talking
        if spare is not None:
            await spare

    async def _disturb(self, client: Client, relay: Relay) -> None:
        relay.target = self.dice.choice(self.nodes).url
        if client.name in self.polling:
            await client.cut()  # between two polls there is no connection to lose
        elif self.dice.random() < 0.25:
            relay.freeze()
        else:
            relay.cut()

    async def _kill_one(self) -> None:
        """The node dies where it stands; a fresh one takes its place later."""
        victim = self.nodes.pop(self.dice.randrange(len(self.nodes)))
        victim.process.kill()
        self.kills += 1
        for _, relay in self.walkers:
            if relay.target == victim.url:
                relay.target = self.nodes[0].url
        await self.cluster.stop(victim, signal.SIGKILL)
        self.nodes.append(await self.cluster.start())

    async def verify(self, rounds: int) -> None:
        await self.say()
        for client, _ in self.walkers:
            await client.event("chat:message", text=self.said[-1], seconds=BACK_SECONDS)
            for coins in self.coins[client.name][-1:]:
                await client.event("wallet:updated", coins=coins, seconds=BACK_SECONDS)
            received = await client.events()
            texts = [body["text"] for name, body, _ in received if name == "chat:message"]
            assert texts == self.said, f"{client.name}: {first_difference(texts, self.said)}"
            seqs = await client.seqs()
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), f"{client.name}: a gap in seq"
            coins_seen = [body["coins"] for name, body, _ in received if name == "wallet:updated"]
            assert coins_seen == self.coins[client.name], f"{client.name}: {coins_seen}"
            connects = (await client.state())["connects"]
            assert len(connects) > rounds, f"{client.name}: {len(connects)} connects"
            assert all(one["recovered"] for one in connects[1:]), f"{client.name}: {connects}"

    async def close(self) -> None:
        for client, relay in self.walkers:
            await client.close()
            await relay.close()


def first_difference(found: Sequence[str], wanted: Sequence[str]) -> str:
    for number, (one, other) in enumerate(zip(found, wanted, strict=False)):
        if one != other:
            return f"at {number}: {list(found[number : number + 3])} for {list(wanted[number : number + 3])}"
    return f"{len(found)} for {len(wanted)}"


async def storm(cluster: Cluster, clients: Clients, *, walkers: int, rounds: int, seed: int) -> Result:
    run = Storm(cluster, clients, random.Random(seed))
    await run.begin(walkers)
    try:
        for number in range(rounds):
            await run.round(number)
        await run.verify(rounds)
    finally:
        await run.close()
    backs = sorted(run.back_ms)
    letters = sum(len(coins) for coins in run.coins.values())
    return Result(walkers * rounds, run.kills, len(run.said), letters, backs[len(backs) // 2], backs[-1])


WALKERS = 10


async def run(directory: Path, urls: Urls, count: int, seed: int) -> Result:
    assert urls.redis_url is not None
    assert urls.database_url is not None
    async with (
        cluster(directory / "nodes", urls.redis_url, urls.database_url) as nodes,
        real_clients() as clients,
    ):
        return await storm(nodes, clients, walkers=WALKERS, rounds=-(-count // WALKERS), seed=seed)


def main(count: int, seed: int) -> None:
    directory = Path(tempfile.mkdtemp(prefix="flylive-reconnects-"))
    directory.chmod(0o711)
    try:
        with EmbeddedServers(directory / "servers", durable=False) as urls:
            result = asyncio.run(run(directory, urls, count, seed))
        print(msgspec.json.encode(result).decode())
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.integration.reconnects")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    main(options.count, options.seed)
