"""Credits, reversals and histories."""

from __future__ import annotations

import asyncio

from api.ledger.books import Currency
from api.ledger.gifts import Outcome, Paid
from state.rejections import Code, Rejection
from tests.api.conftest import Ledger
from tests.api.ledger.test_gifts import assert_balanced


async def credit(
    ledger: Ledger,
    key: str,
    reference: str,
    amount: int = 500,
    currency: Currency = "coins",
    user: str = "ada",
) -> Outcome:
    return await ledger.books.credit(
        user, key, amount=amount, currency=currency, reason="purchase", reference=reference
    )


async def test_a_credit_counts_once_per_key_and_once_per_reference(ledger: Ledger) -> None:
    first = await credit(ledger, "key-1", "order-1")
    assert isinstance(first, Paid)
    assert (first.balance, first.replayed) == (500, False)
    again = Paid(first.transaction_id, 500, 500, replayed=True)
    assert await credit(ledger, "key-1", "order-1") == again
    assert await credit(ledger, "key-2", "order-1") == again
    for other in (credit(ledger, "key-1", "order-1", 501), credit(ledger, "key-3", "order-1", user="eve")):
        outcome = await other
        assert isinstance(outcome, Rejection)
        assert outcome.code is Code.IDEMPOTENCY_MISMATCH
    assert (await ledger.coins("ada"), await ledger.coins("eve")) == (500, 0)
    await assert_balanced(ledger)


async def test_sixty_four_equal_credits_at_once_are_one(ledger: Ledger) -> None:
    outcomes = await asyncio.gather(*(credit(ledger, f"key-{n % 2}", "order-1") for n in range(64)))
    assert len({outcome.transaction_id for outcome in outcomes if isinstance(outcome, Paid)}) == 1
    assert await ledger.coins("ada") == 500


async def test_a_reversal_gives_everything_back_once(ledger: Ledger) -> None:
    await ledger.fill("ada", 1_000)
    await ledger.database.row("membership_put", "bob", "stars", None)
    await ledger.database.row("membership_put", "cyd", "stars", None)
    gift = await ledger.writer.pay(ledger.gift(price=101, recipients=("bob", "cyd")))
    assert isinstance(gift, Paid)
    reversals = await asyncio.gather(
        *(ledger.books.reverse(gift.transaction_id, "mistake") for _ in range(8))
    )
    assert len({outcome.transaction_id for outcome in reversals if isinstance(outcome, Paid)}) == 1
    ada, bob = await ledger.books.wallet("ada"), await ledger.books.wallet("bob")
    assert (ada.coins, ada.wealth_xp, ada.total_spent) == (1_000, 0, 0)
    assert (bob.diamonds, bob.charm_xp, bob.total_received) == (0, 0, 0)
    agency = await ledger.pool.fetchrow(
        "SELECT balance, gift_total FROM ledger.accounts WHERE kind = 'agency'"
    )
    assert tuple(agency) == (0, 0)
    await assert_balanced(ledger)
    assert await ledger.value("SELECT sum(balance) FROM ledger.accounts WHERE kind = 'platform'") == 0


async def test_a_reversal_never_leaves_a_debt(ledger: Ledger) -> None:
    await ledger.fill("ada", 1_000)
    topped = await credit(ledger, "key", "order")
    assert isinstance(topped, Paid)
    await ledger.writer.pay(ledger.gift(price=1_400))
    outcome = await ledger.books.reverse(topped.transaction_id, "charged back")
    assert isinstance(outcome, Rejection)
    assert outcome.code is Code.INSUFFICIENT_FUNDS
    assert await ledger.coins("ada") == 100


async def test_a_reversal_can_not_be_reversed(ledger: Ledger) -> None:
    topped = await credit(ledger, "key", "order")
    assert isinstance(topped, Paid)
    reversal = await ledger.books.reverse(topped.transaction_id, "charged back")
    assert isinstance(reversal, Paid)
    outcome = await ledger.books.reverse(reversal.transaction_id, "again")
    assert isinstance(outcome, Rejection)
    assert await ledger.coins("ada") == 0
    await assert_balanced(ledger)


async def test_the_history_pages_backwards_without_gap_or_repeat(ledger: Ledger) -> None:
    await ledger.fill("ada", 10_000)
    await ledger.fill("bob", 10_000)
    for number in range(25):
        giver, taker = ("ada", "bob") if number % 2 else ("bob", "ada")
        await ledger.writer.pay(ledger.gift(giver, recipients=(taker,)))
    seen, cursor = [], None
    while True:
        page = await ledger.books.history("ada", cursor, 7)
        seen += [movement.transaction_id for movement in page.transactions]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == 26
    assert seen == sorted(set(seen), reverse=True)


async def test_a_transaction_shows_its_parties(ledger: Ledger) -> None:
    await ledger.fill("ada", 1_000)
    gift = await ledger.writer.pay(ledger.gift())
    assert isinstance(gift, Paid)
    found = await ledger.books.transaction(gift.transaction_id)
    assert found is not None
    assert {(part.owner_id, part.currency, part.amount) for part in found.entries} == {
        ("ada", "coins", -100),
        ("bob", "diamonds", 50),
    }
    assert (found.kind, found.room_id, found.recipients, found.reversed_by) == ("gift", "room", ["bob"], None)
