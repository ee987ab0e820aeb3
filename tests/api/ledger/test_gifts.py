"""The group commit: each gift its own answer, each coin accounted for."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.ledger.gifts import Gift, Paid, columns
from api.ledger.queries import query
from state.rejections import Code, Rejection
from tests.api.conftest import Ledger
from tests.api.house import until


async def assert_balanced(ledger: Ledger) -> None:
    """Zero in sum per transaction and currency, and balances equal their entries."""
    unbalanced = await ledger.value(
        """SELECT count(*) FROM (
            SELECT e.transaction_id FROM ledger.entries AS e JOIN ledger.accounts AS a USING (account_id)
            GROUP BY e.transaction_id, a.currency HAVING sum(e.amount) <> 0
        ) AS wrong"""
    )
    drifted = await ledger.value(
        """SELECT count(*) FROM ledger.accounts AS a WHERE a.balance <> (
            SELECT coalesce(sum(e.amount), 0) FROM ledger.entries AS e WHERE e.account_id = a.account_id
        ) OR a.version <> (SELECT count(*) FROM ledger.entries AS e WHERE e.account_id = a.account_id)"""
    )
    assert (unbalanced, drifted) == (0, 0)


async def test_a_thousand_coins_less_two_gifts_of_a_hundred_are_eight_hundred(ledger: Ledger) -> None:
    await ledger.fill("ada", 1_000)
    paid = await ledger.writer.pay(ledger.gift(quantity=2))
    assert isinstance(paid, Paid)
    assert (paid.total_cost, paid.balance, paid.replayed) == (200, 800, False)
    assert (await ledger.coins("ada"), await ledger.diamonds("bob")) == (800, 100)
    await assert_balanced(ledger)


async def test_each_recipient_gets_the_whole_gift_and_its_agency_a_part(ledger: Ledger) -> None:
    await ledger.fill("ada", 10_000)
    await ledger.database.row("membership_put", "bob", "stars", None)
    await ledger.database.row("membership_put", "cyd", "stars", 2_500)
    paid = await ledger.writer.pay(ledger.gift(price=1_001, recipients=("bob", "cyd", "dan")))
    assert isinstance(paid, Paid)
    assert paid.balance == 10_000 - 3 * 1_001
    assert await ledger.diamonds("bob") == 500 - 50
    assert await ledger.diamonds("cyd") == 500 - 125
    assert await ledger.diamonds("dan") == 500
    agency = await ledger.value("SELECT balance FROM ledger.accounts WHERE kind = 'agency'")
    platform = await ledger.value(
        "SELECT sum(balance) FROM ledger.accounts WHERE kind = 'platform' AND currency = 'diamonds'"
    )
    assert (agency, platform) == (175, 3 * 1_001 - 1_500)
    await assert_balanced(ledger)


async def test_experience_and_totals_are_counted_with_the_payment(ledger: Ledger) -> None:
    await ledger.fill("ada", 1_000)
    await ledger.writer.pay(ledger.gift(quantity=2, recipients=("bob", "cyd")))
    ada, bob = await ledger.books.wallet("ada"), await ledger.books.wallet("bob")
    assert (ada.wealth_xp, ada.total_spent, ada.charm_xp) == (400, 400, 0)
    assert (bob.charm_xp, bob.total_received, bob.wealth_xp) == (200, 200, 0)


async def test_sixty_four_equal_requests_at_once_are_one_transaction(ledger: Ledger) -> None:
    await ledger.fill("ada", 1_000)
    writers = [ledger.new_writer(shard) for shard in range(4)]
    gifts = [ledger.gift(key="same") for _ in range(64)]
    outcomes = await asyncio.gather(*(writers[n % 4].pay(gift) for n, gift in enumerate(gifts)))
    assert all(isinstance(outcome, Paid) for outcome in outcomes)
    answers = {(o.transaction_id, o.total_cost, o.balance) for o in outcomes if isinstance(o, Paid)}
    assert len(answers) == 1
    assert sum(not o.replayed for o in outcomes if isinstance(o, Paid)) == 1
    assert await ledger.value("SELECT count(*) FROM ledger.transactions WHERE kind = 'gift'") == 1
    assert await ledger.coins("ada") == 900


async def test_keys_that_another_node_is_writing_are_waited_for(ledger: Ledger) -> None:
    """Each half of the batch meets such a key; neighbours are paid all the same."""
    await ledger.fill("ada", 1_000)
    gifts = [ledger.gift(key=f"key-{number}") for number in range(8)]
    async with ledger.pool.acquire() as other, other.transaction():
        taken = await other.fetch(
            query("send_gifts"), ledger.clock(), 1, 5_000, *columns([gifts[number] for number in (1, 6)])
        )
        assert [row["outcome"] for row in taken] == ["accepted", "accepted"]
        paying = asyncio.gather(*map(ledger.writer.pay, gifts))
        await until(lambda: ledger.value("SELECT count(*) FROM pg_locks WHERE NOT granted"), "a wait")
    outcomes = await paying
    assert [outcome.replayed for outcome in outcomes if isinstance(outcome, Paid)] == [
        number in (1, 6) for number in range(8)
    ]
    assert await ledger.coins("ada") == 200
    await assert_balanced(ledger)


@pytest.mark.parametrize("later_ms", [0, 25 * 3_600_000])
async def test_a_used_key_never_pays_again(ledger: Ledger, later_ms: int) -> None:
    await ledger.fill("ada", 1_000)
    first = await ledger.writer.pay(ledger.gift(key="same"))
    ledger.clock.ms += later_ms
    again = await ledger.writer.pay(ledger.gift(key="same"))
    other = await ledger.writer.pay(ledger.gift(key="same", quantity=2))
    assert isinstance(first, Paid)
    assert again == Paid(first.transaction_id, 100, 900, replayed=True)
    assert isinstance(other, Rejection)
    assert other.code is Code.IDEMPOTENCY_MISMATCH
    assert await ledger.coins("ada") == 900


async def test_the_same_key_with_another_content_in_one_batch_is_refused(ledger: Ledger) -> None:
    await ledger.fill("ada", 1_000)
    first, other = await asyncio.gather(
        ledger.writer.pay(ledger.gift(key="same")), ledger.writer.pay(ledger.gift(key="same", quantity=3))
    )
    assert isinstance(first, Paid)
    assert isinstance(other, Rejection)
    assert other.code is Code.IDEMPOTENCY_MISMATCH


async def test_a_wallet_drained_by_a_hundred_requests_pays_exactly_what_it_holds(ledger: Ledger) -> None:
    await ledger.fill("ada", 3_750)
    writers = [ledger.new_writer(shard) for shard in range(3)]
    outcomes = await asyncio.gather(*(writers[n % 3].pay(ledger.gift()) for n in range(100)))
    refused = [outcome for outcome in outcomes if isinstance(outcome, Rejection)]
    assert len(outcomes) - len(refused) == 37
    assert {outcome.code for outcome in refused} == {Code.INSUFFICIENT_FUNDS}
    assert await ledger.coins("ada") == 50
    await assert_balanced(ledger)


async def test_what_is_too_dear_does_not_stop_what_is_not(ledger: Ledger) -> None:
    await ledger.fill("ada", 250)
    outcomes = await asyncio.gather(
        *(ledger.writer.pay(ledger.gift(price=price)) for price in (100, 200, 100, 51, 50))
    )
    assert [isinstance(outcome, Paid) for outcome in outcomes] == [True, False, True, False, True]
    assert outcomes[1] == Rejection(
        Code.INSUFFICIENT_FUNDS,
        "the wallet does not hold enough coins",
        details={"required": 200, "available": 150},
    )


async def test_who_never_had_a_wallet_can_pay_nothing(ledger: Ledger) -> None:
    outcome = await ledger.writer.pay(ledger.gift("nobody"))
    assert isinstance(outcome, Rejection)
    assert outcome.details == {"required": 100, "available": 0}


async def test_a_gift_that_overflows_its_recipient_fails_alone(ledger: Ledger) -> None:
    await ledger.fill("rich", 2**62)
    await ledger.fill("full", 2**63 - 10, "diamonds")
    await ledger.fill("ada", 1_000)
    outcomes = await asyncio.gather(
        *(ledger.writer.pay(ledger.gift()) for _ in range(5)),
        ledger.writer.pay(ledger.gift("rich", price=2**40, recipients=("full",))),
        *(ledger.writer.pay(ledger.gift()) for _ in range(5)),
    )
    wrong = outcomes[5]
    assert isinstance(wrong, Rejection)
    assert wrong.code is Code.CONFLICT
    assert sum(isinstance(outcome, Paid) for outcome in outcomes) == 10
    await assert_balanced(ledger)


async def test_a_lone_gift_is_written_at_once(ledger: Ledger) -> None:
    await ledger.fill("ada", 1_000)
    await ledger.writer.pay(ledger.gift())
    loop = asyncio.get_running_loop()
    times = []
    for _ in range(20):
        start = loop.time()
        await ledger.writer.pay(ledger.gift())
        times.append(loop.time() - start)
    assert min(times) < 0.05


async def test_a_random_crowd_leaves_the_books_balanced(ledger: Ledger) -> None:
    chance = random.Random(7)
    users = [f"user-{number}" for number in range(12)]
    for number, user in enumerate(users):
        await ledger.fill(user, 5_000)
        if number % 3 == 0:
            await ledger.database.row(
                "membership_put", user, f"agency-{number % 2}", chance.choice([None, 777])
            )
    writers = [ledger.new_writer(shard) for shard in range(3)]

    async def send() -> None:
        sender, *others = chance.sample(users, 5)
        gift = ledger.gift(
            sender,
            price=chance.randint(1, 700),
            quantity=chance.randint(1, 3),
            recipients=tuple(others[: chance.randint(1, 4)]),
        )
        await chance.choice(writers).pay(gift)

    await asyncio.gather(*(send() for _ in range(400)))
    await assert_balanced(ledger)
    assert await ledger.value("SELECT min(balance) FROM ledger.accounts WHERE kind = 'user'") >= 0


BPS = st.integers(0, 10_000)


@settings(max_examples=20, deadline=None)
@given(cases=st.lists(st.tuples(st.integers(1, 2**53), BPS, BPS), min_size=50, max_size=200))
def test_any_split_adds_up_to_the_whole(database_server: str, cases: list[tuple[int, int, int]]) -> None:
    asyncio.run(check_splits(database_server.replace("/flylive?", "/template_of_tests?"), cases))


async def check_splits(url: str, cases: list[tuple[int, int, int]]) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            """SELECT whole, recipient, agency, ledger.share(whole, recipient) AS share,
                ledger.share(ledger.share(whole, recipient), agency) AS commission
            FROM unnest($1::bigint[], $2::int[], $3::int[]) AS u (whole, recipient, agency)""",
            *map(list, zip(*cases, strict=True)),
        )
    finally:
        await connection.close()
    for row in rows:
        assert row["share"] == row["whole"] * row["recipient"] // 10_000
        assert row["commission"] == row["share"] * row["agency"] // 10_000
        parts = (row["share"] - row["commission"], row["commission"], row["whole"] - row["share"])
        assert min(parts) >= 0
        assert sum(parts) == row["whole"]


async def test_the_largest_gift_there_can_be_is_split_without_loss(ledger: Ledger) -> None:
    await ledger.fill("rich", 2**62)
    gift: Gift = ledger.gift(
        "rich", price=2**40, quantity=9_999, recipients=tuple(f"star-{number}" for number in range(30))
    )
    paid = await ledger.writer.pay(gift)
    assert isinstance(paid, Paid)
    assert paid.balance == 2**62 - 2**40 * 9_999 * 30
    assert await ledger.diamonds("star-7") == 2**40 * 9_999 // 2
    await assert_balanced(ledger)
