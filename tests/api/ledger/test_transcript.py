"""The ledger as a transcript: what was asked, what was answered, and every entry that came of it.

It is kept in tests/golden/ledger.txt; a change of a single coin is seen in the difference.
FLYLIVE_TEST_WRITE_GOLDEN=1 writes it anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from api.ledger.gifts import Paid
from state.rejections import Rejection
from tests.api.conftest import Ledger

GOLDEN = Path("tests/golden/ledger.txt")
ENTRIES = """
SELECT a.kind, a.owner_id, a.currency, e.amount, e.balance_before, e.balance_after, e.version
FROM ledger.entries AS e JOIN ledger.accounts AS a ON a.account_id = e.account_id
WHERE e.transaction_id = $1
ORDER BY a.currency, a.kind, a.owner_id, e.version
"""


class Transcript:
    """Writes down what happens."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.lines: list[str] = []
        self._names: dict[str, str] = {}

    async def record(self, what: str, outcome: Any) -> None:
        self.lines.append(f"\n> {what}")
        if isinstance(outcome, Rejection):
            self.lines.append(f"{outcome.code} {outcome.details or ''}".rstrip())
            return
        assert isinstance(outcome, Paid)
        is_new = outcome.transaction_id not in self._names
        name = self._names.setdefault(outcome.transaction_id, f"transaction {len(self._names) + 1}")
        again = " again" if outcome.replayed else ""
        self.lines.append(f"{name}{again}: cost {outcome.total_cost}, balance {outcome.balance}")
        for row in await self.ledger.pool.fetch(ENTRIES, outcome.transaction_id) if is_new else ():
            kind, owner, currency, amount, before, after, version = row
            owner = kind if kind in ("platform", "issuance") else f"{kind} {owner}"
            self.lines.append(f"    {currency:8} {owner:14} {amount:+7} {before:7} -> {after:7}  #{version}")

    async def gift(self, what: str, **fields: Any) -> Any:
        outcome = await self.ledger.writer.pay(self.ledger.gift(**fields))
        await self.record(what, outcome)
        return outcome

    async def credit(self, what: str, user: str, amount: int, reference: str) -> Any:
        outcome = await self.ledger.books.credit(
            user, reference, amount=amount, currency="coins", reason="purchase", reference=reference
        )
        await self.record(what, outcome)
        return outcome


async def test_the_transcript_is_the_kept_one(ledger: Ledger) -> None:
    said = Transcript(ledger)
    await ledger.database.row("membership_put", "bob", "stars", None)
    await ledger.database.row("membership_put", "cyd", "moons", 2_500)
    topped = await said.credit("ada buys 1000 coins", "ada", 1_000, "order-1")
    await said.credit("the same order comes again", "ada", 1_000, "order-1")
    await said.credit("the same order with another amount", "ada", 1_001, "order-1")
    first = await said.gift("ada gives eve 2 x 100", recipients=("eve",), quantity=2, key="a")
    await said.gift("the same gift comes again", recipients=("eve",), quantity=2, key="a")
    await said.gift("the same key for another gift", recipients=("eve",), quantity=3, key="a")
    await said.gift("ada gives bob, of an agency, 101", recipients=("bob",), price=101)
    await said.gift("ada gives bob, cyd and eve 33 each", recipients=("bob", "cyd", "eve"), price=33)
    await said.gift("ada gives eve the smallest gift", recipients=("eve",), price=1)
    await said.gift("ada gives eve more than it has", recipients=("eve",), price=600)
    await said.gift("nobody gives eve a gift", sender="nobody", recipients=("eve",))
    await said.record("the first gift is taken back", await ledger.books.reverse(first.transaction_id, "x"))
    await said.record("and once more", await ledger.books.reverse(first.transaction_id, "x"))
    await said.record("the purchase is charged back", await ledger.books.reverse(topped.transaction_id, "x"))
    assert_golden("\n".join(said.lines).lstrip() + "\n")


def assert_golden(text: str) -> None:
    if os.environ.get("FLYLIVE_TEST_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
