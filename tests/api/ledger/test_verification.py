"""The check of the books finds what was bent."""

from __future__ import annotations

import pytest

from tests.api.house import House
from tests.api.test_outbox import pay

# What is done to the ledger behind its back, and a word of what the check says.
DAMAGE = {
    "UPDATE ledger.accounts SET balance = balance + 1 WHERE owner_id = 'ada'": "has balance",
    "UPDATE ledger.accounts SET gift_total = 0 WHERE owner_id = 'ada'": "has spent",
    "DELETE FROM ledger.entries WHERE amount > 0 AND account_id >= 1000": "sums to",
    "UPDATE ledger.entries SET balance_before = balance_before + 1, balance_after = balance_after + 1 "
    "WHERE account_id >= 1000": "starts at",
    "DELETE FROM ledger.transactions WHERE kind = 'gift'": "no transaction",
    "UPDATE ledger.transactions SET amount = amount + 1 WHERE kind = 'gift'": "of 101 moved 100",
    "INSERT INTO ledger.outbox VALUES (gen_random_uuid(), 1)": "is no transaction",
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damage_is_found(home: House, damage: str) -> None:
    await home.fill("ada", 1_000)
    await pay(home)
    await home.tell_all()
    assert await home.faults() == []
    await home.pool.execute(damage)
    faults = await home.faults()
    assert any(DAMAGE[damage] in fault for fault in faults), faults


async def test_what_waits_too_long_is_a_fault(home: House) -> None:
    await home.fill("ada", 1_000)
    await pay(home)
    assert await home.faults() == []
    await home.pool.execute("UPDATE ledger.outbox SET at_ms = at_ms - 61000")
    assert [fault for fault in await home.faults() if "untold" in fault]
