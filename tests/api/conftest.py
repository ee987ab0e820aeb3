"""What tests of money share: a ledger on a database of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from api.ledger.books import Books
from api.ledger.database import Database
from api.ledger.gifts import Gift, GiftWriter, Paid, fingerprint
from tests.api.house import House, house

START_MS = 1_790_000_000_000
# Nothing here is about time: how long a test may take is for the runner to say.
PATIENCE_SECONDS = 3_600.0


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


class Ledger:
    """A ledger with shorthands."""

    def __init__(self, pool: Any, clock: Clock) -> None:
        self.pool = pool
        self.clock = clock
        self.database = Database(pool, timeout_seconds=PATIENCE_SECONDS)
        self._numbers = itertools.count(1)
        # Credits have a shard to themselves: what a test fills in does not crowd the gifts' accounts.
        self.books = Books(self.database, shard=15, now_ms=clock, new_transaction_id=self.new_id)
        self.writer = self.new_writer()

    def new_writer(self, shard: int = 0) -> GiftWriter:
        return GiftWriter(
            self.database,
            shard=shard,
            recipient_share_bps=5_000,
            now_ms=self.clock,
        )

    def new_id(self) -> str:
        return f"{self.clock.ms:012x}".ljust(12)[:8] + f"-0000-7000-8000-{next(self._numbers):012x}"

    def gift(self, sender: str = "ada", key: str | None = None, **fields: Any) -> Gift:
        values: dict[str, Any] = {
            "room_id": "room",
            "gift_id": "rose",
            "price": 100,
            "quantity": 1,
            "recipients": ("bob",),
        }
        values |= fields
        cost = values["price"] * values["quantity"]
        content = fingerprint(*values.items())
        return Gift(
            transaction_id=self.new_id(),
            sender_id=sender,
            key=key or f"key-{next(self._numbers)}",
            fingerprint=content,
            wealth_xp=cost * len(values["recipients"]),
            charm_xp=cost,
            detail="{}",
            **values,
        )

    async def fill(self, user_id: str, amount: int, currency: Any = "coins") -> None:
        reference = f"fill-{next(self._numbers)}"
        paid = await self.books.credit(
            user_id, reference, amount=amount, currency=currency, reason="test", reference=reference
        )
        assert isinstance(paid, Paid)

    async def coins(self, user_id: str) -> int:
        return (await self.books.wallet(user_id)).coins

    async def diamonds(self, user_id: str) -> int:
        return (await self.books.wallet(user_id)).diamonds

    async def value(self, statement: str, *arguments: Any) -> Any:
        return await self.pool.fetchval(statement, *arguments)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Any]:
    pool = await asyncpg.create_pool(database_url, min_size=0, max_size=10)
    yield pool
    pool.terminate()


@pytest.fixture
def ledger(pool: Any, clock: Clock) -> Ledger:
    return Ledger(pool, clock)


@pytest.fixture
async def home(redis_url: str, database_url: str) -> AsyncIterator[House]:
    """A house with one open room and one gift on sale."""
    async with house(redis_url, database_url) as found:
        await found.open_room()
        await found.sell()
        yield found
