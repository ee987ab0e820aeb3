"""Drives the ledger without its entrances, to see what it can do: `python -m api.ledger.drill --help`.

Many senders give to a few stars, as many at once as asked for, through the same group commit as the
node's. The database is a fresh one; the figures are printed as one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time

import asyncpg
import uvloop

from api import migrations
from api.app import Source
from api.ledger.database import Database, pool_options
from api.ledger.gifts import Gift, GiftWriter, Paid

SENDERS = 5_000
TIMEOUT_SECONDS = 30.0
_DETAIL = json.dumps(
    {
        "sender": {"user_id": "fan", "name": "A fan of the stars", "avatar": "https://img/fan.png"},
        "gift": {
            "gift_id": "rose",
            "name": "Rose",
            "animation_url": "https://pictures/rose.svga",
            "price": 100,
        },
        "combo_window_ms": 3000,
    }
)


class Drill:
    """One run."""

    def __init__(self, writer: GiftWriter, source: Source, stars: int) -> None:
        self._writer = writer
        self._source = source
        self._stars = stars
        self.seconds: list[float] = []

    async def send_until(self, end: float) -> None:
        """One sender after the other gives a gift, until the time is over."""
        while time.monotonic() < end:
            gift = self._gift()
            start = time.perf_counter()
            outcome = await self._writer.pay(gift)
            self.seconds.append(time.perf_counter() - start)
            assert isinstance(outcome, Paid), outcome

    def _gift(self) -> Gift:
        transaction_id = self._source.new_transaction_id()
        return Gift(
            transaction_id=transaction_id,
            sender_id=f"fan-{int(random.random() * SENDERS)}",
            key=transaction_id,
            fingerprint=b"0123456789abcdef",
            room_id="room",
            gift_id="rose",
            price=100,
            quantity=1,
            recipients=(f"star-{int(random.random() * self._stars)}",),
            wealth_xp=100,
            charm_xp=100,
            detail=_DETAIL,
        )


async def prepared(url: str, name: str) -> str:
    """A fresh database with the schema and rich senders; returns its URL."""
    server = await asyncpg.connect(url)
    await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await server.execute(f"CREATE DATABASE {name}")
    await server.close()
    head, _, options = url.partition("?")
    own = f"{head.rpartition('/')[0]}/{name}" + (f"?{options}" if options else "")
    connection = await asyncpg.connect(own)
    await migrations.apply(connection)
    await connection.execute(
        "INSERT INTO ledger.accounts (kind, owner_id, currency, balance) "
        "SELECT 'user', 'fan-' || n, 'coins', 1000000000 FROM generate_series(0, $1::int - 1) AS n",
        SENDERS,
    )
    await connection.close()
    return own


async def drill(url: str, *, at_once: int, stars: int, seconds: float) -> dict[str, float]:
    """Gifts per second and the time of one, with so many senders at once."""
    pool = await asyncpg.create_pool(await prepared(url, "drill"), **pool_options(size=4, timeout_ms=30_000))
    source = Source()
    writer = GiftWriter(
        Database(pool, timeout_seconds=TIMEOUT_SECONDS),
        shard=0,
        recipient_share_bps=5_000,
        now_ms=source.now_ms,
    )
    run = Drill(writer, source, stars)
    warm = Drill(writer, source, stars)
    await asyncio.gather(*(warm.send_until(time.monotonic() + 1) for _ in range(at_once)))
    start, start_cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(run.send_until(start + seconds) for _ in range(at_once)))
    elapsed, cpu = time.monotonic() - start, time.process_time() - start_cpu
    await pool.close()
    times = sorted(run.seconds)
    return {
        "gifts_per_second": len(times) / elapsed,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[int(len(times) * 0.99)],
        "python_us_per_gift": 1e6 * cpu / len(times),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a Postgres whose owner may create a database")
    parser.add_argument("--at-once", type=int, default=1_000)
    parser.add_argument("--stars", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0)
    words = parser.parse_args()
    figures = uvloop.run(drill(words.url, at_once=words.at_once, stars=words.stars, seconds=words.seconds))
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
