"""Whatever dies on the way: an accepted gift is paid once and told once, a refused one never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from api.ledger.database import pool_options
from api.ledger.gifts import Outcome, Paid
from state.rejections import Rejection, Unavailable
from tests.api.faults import POINTS, Faults, FaultyPool
from tests.api.house import House, house
from tests.api.test_gifts import order

TIMES = 20
TRIES_MAX = 20


class Scene:
    """A house whose parts die on command."""

    def __init__(self, home: House, faults: Faults, pool: Any) -> None:
        self.home = home
        self.faults = faults
        self.pool = pool
        self.accepted: list[str] = []
        self.refused = 0

    async def send(self, **fields: Any) -> Outcome:
        """A client that asks until it has an answer, always with the same key."""
        for _ in range(TRIES_MAX):
            try:
                outcome = await self.home.api.gifts.send(order(**fields))
                self.faults.fire("before the reply")
            except Unavailable:
                continue
            if isinstance(outcome, Paid):
                self.accepted.append(outcome.transaction_id)
            else:
                self.refused += 1
            return outcome
        raise AssertionError("never an answer")

    async def tell_all(self) -> None:
        for _ in range(TRIES_MAX):
            try:
                while await self.home.api.relay.tell_some():
                    pass
            except Unavailable:
                continue
            return
        raise AssertionError("never told")


@pytest.fixture
async def scene(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    # Whoever died is back at once: the rest that a row gets otherwise only takes time here.
    monkeypatch.setattr("api.outbox.REST_MS", 0)
    faults = Faults()
    pool = await asyncpg.create_pool(database_url, **pool_options(size=10, timeout_ms=5_000))
    await faults.prepare(pool)
    async with house(redis_url, database_url, ports=faults.ports, pool=FaultyPool(faults, pool)) as home:
        await home.open_room()
        await home.sell()
        await home.fill("ada", 1_000_000)
        await home.fill("bob", 1_000_000)
        yield Scene(home, faults, pool)


@pytest.mark.parametrize("point", POINTS)
async def test_a_death_neither_loses_nor_doubles_a_gift(scene: Scene, point: str) -> None:
    for number in range(TIMES):
        await scene.faults.arm(scene.pool, point)
        outcomes = await asyncio.gather(
            scene.send(sender="ada", key=f"{number}"),
            scene.send(sender="bob", key=f"{number}", quantity=3),
            scene.send(sender="poor", key=f"{number}"),
        )
        assert [isinstance(outcome, Rejection) for outcome in outcomes] == [False, False, True]
        await scene.tell_all()
        assert await scene.faults.disarm(scene.pool), "the point was never reached"
    assert scene.refused == TIMES
    assert len(set(scene.accepted)) == len(scene.accepted) == 2 * TIMES
    told = [event.transaction_id for event in await scene.home.announced()]
    assert sorted(told) == sorted(scene.accepted)
    assert (await scene.home.api.books.wallet("ada")).coins == 1_000_000 - TIMES * 100
    assert await scene.pool.fetchval("SELECT count(*) FROM ledger.outbox") == 0
    assert await scene.home.faults() == []
