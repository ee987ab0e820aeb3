"""The catalog: a copy that is soon right and never in the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.catalog import FRESH_MS, Catalog, GiftFields, experience, seed
from state.rejections import Unavailable
from tests.api.conftest import Ledger
from tests.api.house import until


@pytest.mark.parametrize(
    ("amount", "multiplier", "points"),
    [(100, 1.0, 100), (100, 0.29, 29), (7, 1.5, 10), (2**59, 100.0, 100 * 2**59), (1, 0.0, 0)],
)
def test_experience_is_exact_to_hundredths(amount: int, multiplier: float, points: int) -> None:
    assert experience(amount, multiplier) == points


async def test_another_nodes_change_is_seen_soon_and_ones_own_at_once(ledger: Ledger) -> None:
    here, there = (Catalog(ledger.database, now_ms=ledger.clock) for _ in range(2))
    await here.put("rose", GiftFields(name="Rose", price=1))
    first = await there.listing()
    assert [gift.price for gift in first.gifts] == [1]
    await here.put("rose", GiftFields(name="Rose", price=2))
    changed = await here.gift("rose")
    assert changed is not None
    assert changed.price == 2
    assert await there.listing() == first
    ledger.clock.ms += FRESH_MS

    async def is_seen() -> bool:
        return (await there.listing()).etag != first.etag

    await until(is_seen, "the new price")


async def test_a_database_that_is_away_is_not_waited_for(ledger: Ledger, monkeypatch: Any) -> None:
    catalog = Catalog(ledger.database, now_ms=ledger.clock)
    await seed(catalog)
    kept = await catalog.listing()

    async def away(*_arguments: Any) -> Any:
        await asyncio.sleep(0.01)
        raise Unavailable("away")

    monkeypatch.setattr(ledger.database, "rows", away)
    for _ in range(3):
        ledger.clock.ms += FRESH_MS
        assert await catalog.listing() is kept
        await asyncio.sleep(0.02)
    with pytest.raises(Unavailable):
        await Catalog(ledger.database, now_ms=ledger.clock).listing()


async def test_an_empty_catalog_is_seeded_and_a_used_one_left_alone(ledger: Ledger) -> None:
    catalog = Catalog(ledger.database, now_ms=ledger.clock)
    await seed(catalog)
    gifts = {gift.gift_id: gift.price for gift in (await catalog.listing()).gifts}
    assert gifts == {"rose": 1, "heart": 10, "crown": 100, "rocket": 1_000}
    await catalog.put("rose", GiftFields(name="Rose", price=7))
    await seed(catalog)
    rose = await catalog.gift("rose")
    assert rose is not None
    assert rose.price == 7
