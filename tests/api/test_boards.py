"""Boards: counted once, by the calendar, and rebuilt from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from api.boards import BOARDS, PERIODS, Counted, Score, bucket, starts_ms
from api.ledger.verification import Verification
from state.fields import Period
from tests.api.house import OWNER, House
from tests.api.test_outbox import pay

TIMES = [
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2027, 1, 3, 23, 59, tzinfo=UTC),
    datetime(2027, 1, 4, tzinfo=UTC),
]


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("period", PERIODS)
def test_a_period_starts_with_its_bucket(period: Period, time: datetime) -> None:
    at_ms = int(time.timestamp() * 1000)
    start_ms = starts_ms(period, at_ms)
    assert start_ms <= at_ms
    if period != "all":
        assert bucket(period, start_ms) == bucket(period, at_ms) != bucket(period, start_ms - 1)


def test_weeks_go_over_the_new_year() -> None:
    assert bucket("week", int(TIMES[1].timestamp() * 1000)) == bucket(
        "week", int(TIMES[3].timestamp() * 1000)
    )
    assert bucket("week", int(TIMES[4].timestamp() * 1000)) == "2027W01"


async def test_a_transaction_counts_once_per_board_and_period(home: House) -> None:
    boards, now_ms = home.api.boards, home.source.now_ms()
    counted = Counted("one", now_ms, now_ms, [Score("senders", "ada", 7), Score("rooms", "room", 7)])
    for _ in range(3):
        await boards.count([counted, counted])
    for period in PERIODS:
        assert await boards.totals("senders", period, now_ms) == {"ada": 7}
        assert await boards.totals("rooms", period, now_ms) == {"room": 7}
        assert await boards.totals("agencies", period, now_ms) == {}


async def test_leaders_come_first_and_zero_does_not_lead(home: House) -> None:
    boards, now_ms = home.api.boards, home.source.now_ms()
    scores = [Score("senders", f"user-{amount}", amount) for amount in (5, 30, 0, 20)]
    await boards.count([Counted("one", now_ms, now_ms, scores)])
    top = await boards.top("senders", "day", now_ms, 2)
    assert [(entry.rank, entry.id, entry.amount) for entry in top] == [(1, "user-30", 30), (2, "user-20", 20)]
    assert len(await boards.top("senders", "day", now_ms, 10)) == 3


async def test_lost_or_wrong_boards_are_noticed_and_rebuilt(home: House) -> None:
    await home.fill("ada", 10_000)
    await home.api.database.row("membership_put", OWNER, "stars", None)
    for number in range(5):
        await pay(home, key=f"key-{number}", quantity=number + 1)
    await home.tell_all()
    boards, now_ms = home.api.boards, home.source.now_ms()
    right = {(b, p): await boards.totals(b, p, now_ms) for b in BOARDS for p in PERIODS}
    assert all(right.values())
    assert await home.faults() == []
    await home.kernel.server.execute("DEL", boards.key("senders", "week", now_ms))
    await home.kernel.server.execute("ZINCRBY", boards.key("rooms", "all", now_ms), 1, "nowhere")
    assert len(await home.faults()) == 2
    await Verification(home.api.database, boards, now_ms=home.source.now_ms).rebuild_boards()
    assert {(b, p): await boards.totals(b, p, now_ms) for b in BOARDS for p in PERIODS} == right
    assert await home.faults() == []
