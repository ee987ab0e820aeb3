"""No hot query reads a whole table, however many gifts there are.

The server counts sequential scans per table, also those inside functions; each query runs for real and the
counts must stay. FLYLIVE_TEST_LEDGER_GIFTS sets the size (a million: about five minutes).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.ledger.queries import query
from tests.api.conftest import Ledger

GIFTS = int(os.environ.get("FLYLIVE_TEST_LEDGER_GIFTS", "12000"))
WAITING = 2_000
SENDERS = 500
STARS = 8
# Users who have an account and do nothing: a table worth an index.
IDLE = 30_000


async def populate(ledger: Ledger) -> str:
    """A ledger with a past, most of it told; returns one transaction."""
    for number in range(SENDERS):
        await ledger.fill(f"fan-{number}", 10**9)
    await ledger.pool.execute(
        "INSERT INTO ledger.accounts (kind, owner_id, currency) "
        "SELECT 'user', 'idle-' || n, 'coins' FROM generate_series(1, $1::int) AS n",
        IDLE,
    )
    for number in range(STARS):
        await ledger.database.row("membership_put", f"star-{number}", f"agency-{number % 3}", None)
    for start in range(0, GIFTS, 2_000):
        gifts = [
            ledger.gift(f"fan-{n % SENDERS}", recipients=(f"star-{n % STARS}",))
            for n in range(start, min(GIFTS, start + 2_000))
        ]
        await asyncio.gather(*map(ledger.writer.pay, gifts))
        ledger.clock.ms += 1_000
    await ledger.pool.execute(
        "DELETE FROM ledger.outbox WHERE transaction_id NOT IN "
        "(SELECT transaction_id FROM ledger.outbox ORDER BY transaction_id DESC LIMIT $1)",
        WAITING,
    )
    await ledger.pool.execute("VACUUM ANALYZE")
    return str(gifts[0].transaction_id)


async def scans(connection: Any) -> dict[str, int]:
    await connection.execute("SELECT pg_stat_force_next_flush()")
    rows = await connection.fetch(
        "SELECT relname, seq_scan FROM pg_stat_user_tables "
        "WHERE relname IN ('accounts', 'transactions', 'entries', 'outbox')"
    )
    return {row["relname"]: row["seq_scan"] for row in rows}


@pytest.mark.timeout(1_200)
async def test_no_hot_query_reads_a_whole_table(ledger: Ledger) -> None:
    transaction_id = await populate(ledger)
    books, database = ledger.books, ledger.database
    account = await ledger.value("SELECT account_id FROM ledger.accounts WHERE owner_id = 'star-1'")
    reversal = await ledger.value(
        "SELECT transaction_id::text FROM ledger.transactions WHERE kind = 'gift' LIMIT 1"
    )
    hot: dict[str, Callable[[], Awaitable[Any]]] = {
        "gifts": lambda: asyncio.gather(
            *(ledger.writer.pay(ledger.gift(f"fan-{n}", recipients=("star-1",))) for n in range(100))
        ),
        "repeated gift": lambda: ledger.writer.pay(ledger.gift("fan-1", "known", recipients=("star-1",))),
        "first gift": lambda: ledger.writer.pay(ledger.gift("fan-1", recipients=("newcomer",))),
        "credit": lambda: ledger.fill("fan-1", 5),
        "reversal": lambda: books.reverse(reversal, "test"),
        "wallet": lambda: books.wallet("fan-1"),
        "history": lambda: books.history("star-1", None, 50),
        "transaction": lambda: books.transaction(transaction_id),
        "gift by key": lambda: books.gift_by_key("fan-1", "key-77", b""),
        "movements": lambda: database.rows("movements", [transaction_id] * 200),
        "outbox": lambda: database.rows("outbox_take", 200, []),
    }
    async with ledger.pool.acquire() as connection:
        for name, run in hot.items():
            before = await settled(ledger.pool, connection)
            for _ in range(7):
                # Some plans are only settled after a statement's sixth run.
                await run()
            assert await settled(ledger.pool, connection) == before, f"{name} reads a whole table"
        plan = await connection.fetch(f"EXPLAIN {query('history')}", account, transaction_id, 50)
    assert not [row[0] for row in plan if "Seq Scan" in row[0]]


async def settled(pool: Any, connection: Any) -> dict[str, int]:
    """The counts, once every connection's own have come in: an idle one may keep them for ten seconds."""
    idle = [await pool.acquire() for _ in range(pool.get_idle_size())]
    for one in idle:
        await one.execute("SELECT pg_stat_force_next_flush()")
        await pool.release(one)
    return await scans(connection)
