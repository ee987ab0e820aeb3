"""`python -m tests.sfu.soak --minutes 10`: a room with ten speakers and three hundred listeners, for long.

Every packet knows its speaker and number, so a listener notices each that is missing, damaged or heard
twice. The worker is a process of its own; its memory is looked at when everybody has joined and at the
end.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.clients.audio import AudioUser, Pacer
from realtime.embedded.servers import EmbeddedServers
from state.media_commands import RtcOffer
from state.ports import Done
from tests.sfu.node import MediaNode, settings
from tests.sfu.test_hostile import memory_of

SLOTS = 3
JOINS_AT_ONCE = 20
SETTLE_SECONDS = 2.0


@dataclass(slots=True)
class Outcome:
    """What was heard, and what the worker says of itself."""

    counts: Counter[str] = field(default_factory=Counter)
    delays: list[float] = field(default_factory=list)
    grown_bytes: int = 0
    figures: dict[str, float] = field(default_factory=dict)

    def heard(self, what: str, amount: float) -> None:
        self.counts[what] += int(amount) if what == "missing" else 1
        if what == "packet" and self.counts[what] % 50 == 0:
            self.delays.append(amount)

    def __str__(self) -> str:
        delays = sorted(self.delays) or [0.0]
        p99 = delays[int(len(delays) * 0.99)]
        return f"{dict(self.counts)}, delay p99 {p99 * 1000:.1f} ms, grown {self.grown_bytes >> 10} KiB"


async def soak(
    redis_url: str, speakers: int, listeners: int, seconds: float, engine: str = "auto"
) -> Outcome:
    node = MediaNode(settings(redis_url, kind=engine, workers=1))
    outcome, users = Outcome(), []
    pacer = Pacer(lambda late: None)
    try:
        await node.open(children=1)
        await node.room()
        names = [f"speaker{number}" for number in range(speakers)]
        await node.seat(*names[:8])
        names += [f"listener{number}" for number in range(listeners)]
        gate = asyncio.Semaphore(JOINS_AT_ONCE)
        users = list(await asyncio.gather(*(_join(node, name, outcome, gate) for name in names)))
        for user in users[:speakers]:
            pacer.add(user)
        await asyncio.sleep(SETTLE_SECONDS)
        assert node.supervisor is not None
        pid = node.supervisor.children[0].pid
        before = memory_of(pid)
        outcome.counts.clear()
        outcome.delays.clear()
        await asyncio.sleep(seconds)
        outcome.grown_bytes = memory_of(pid) - before
        (worker,) = (await node.registry.workers(fresh=True)).values()
        outcome.figures = worker.figures
    finally:
        for user in users:
            pacer.remove(user)
            user.close()
        await node.close()
    return outcome


async def _join(node: MediaNode, name: str, outcome: Outcome, gate: asyncio.Semaphore) -> AudioUser:
    async with gate:
        user, caller = AudioUser(outcome.heard, random.Random(name)), node.caller(name)

        async def call(_name: str, fields: Any) -> Any:
            answer = await node.ask(caller, RtcOffer(**fields))
            return {"ok": True, "data": answer.data} if isinstance(answer, Done) else {"ok": False}

        await user.open(call, slots=SLOTS, mic=name.startswith("speaker"))
        return user


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sfu.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--speakers", type=int, default=10)
    parser.add_argument("--listeners", type=int, default=300)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flylive-soak-") as directory:
        Path(directory).chmod(0o711)
        with EmbeddedServers(Path(directory), database=False, durable=False) as urls:
            assert urls.redis_url is not None
            started = time.monotonic()
            work = soak(
                urls.redis_url, options.speakers, options.listeners, options.minutes * 60, options.engine
            )
            outcome = asyncio.run(work)
            print(f"{outcome}, {time.monotonic() - started:.0f} s, {outcome.figures}")
    return 1 if outcome.counts["missing"] or outcome.counts["damaged"] or outcome.counts["repeated"] else 0


if __name__ == "__main__":
    sys.exit(main())
