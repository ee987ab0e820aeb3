"""Who leads: sorted sets in Redis, by day, week, month and for all time.

The boards are a view of the ledger. The outbox relay feeds them: every committed gift is added once, a
reversal is subtracted in the period of its gift. Adding is not repeatable, so the script that adds also
remembers which transactions it has added; the memory is kept by the hour and outlives any sane delay of
the outbox. Whatever happens, `rebuild` makes the boards equal to the ledger again.

Days start at midnight UTC, weeks on Monday.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Protocol, get_args

import msgspec
from msgspec import Struct

from state.fields import Board, Period

BOARDS: Final[tuple[Board, ...]] = get_args(Board)
PERIODS: Final[tuple[Period, ...]] = get_args(Period)
MEMORY_HOURS: Final = 6
# A board outlives its period by as much as "last week's leaders" is asked for.
KEPT_SECONDS: Final[dict[Period, int]] = {
    "day": 3 * 86_400,
    "week": 15 * 86_400,
    "month": 63 * 86_400,
    "all": 0,
}


class Score(Struct, frozen=True):
    """An amount that counts for a member of a board."""

    board: Board
    member: str
    amount: int


class Counted(Struct, frozen=True):
    """What one transaction adds: when it was booked itself, and when the gift was that it is about."""

    transaction_id: str
    booked_ms: int
    at_ms: int
    scores: list[Score]


class BoardEntry(Struct, frozen=True):
    """A place on a board."""

    rank: int
    id: str
    amount: int


class BoardServer(Protocol):
    """Runs plain commands and scripts; the keys of one script share a slot."""

    async def execute(self, *command: Any) -> Any:
        """One plain command."""
        ...

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """A script by its name."""
        ...


def bucket(period: Period, at_ms: int) -> str:
    """The name of the day, week or month that a time falls into."""
    return _bucket_of_hour(period, at_ms // 3_600_000)


@lru_cache(maxsize=64)
def _bucket_of_hour(period: Period, hour: int) -> str:
    at = datetime.fromtimestamp(hour * 3_600, UTC)
    match period:
        case "day":
            return at.strftime("%Y%m%d")
        case "week":
            return at.strftime("%GW%V")
        case "month":
            return at.strftime("%Y%m")
        case "all":
            return "all"


def starts_ms(period: Period, at_ms: int) -> int:
    """When the period around a time began."""
    day = datetime.fromtimestamp(at_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "day":
            start = day
        case "week":
            start = day - timedelta(days=day.weekday())
        case "month":
            start = day.replace(day=1)
        case "all":
            return 0
    return int(start.timestamp() * 1000)


class Boards:
    """Reads and feeds the boards."""

    def __init__(self, server: BoardServer, *, prefix: str) -> None:
        self._server = server
        # One hash tag: a gift counts on four boards in one atomic step.
        self._prefix = f"{prefix}:{{boards}}"

    def key(self, board: Board, period: Period, at_ms: int) -> str:
        """Where a board is kept."""
        return f"{self._prefix}:{board}:{period}:{bucket(period, at_ms)}"

    async def top(self, board: Board, period: Period, at_ms: int, limit: int) -> list[BoardEntry]:
        """The leaders of the period around a time."""
        key = self.key(board, period, at_ms)
        found = await self._server.execute("ZRANGE", key, 0, limit - 1, "REV", "WITHSCORES")
        pairs = _pairs(found)
        return [
            BoardEntry(rank, member, amount) for rank, (member, amount) in enumerate(pairs, 1) if amount > 0
        ]

    async def count(self, counted: Iterable[Counted]) -> None:
        """Adds what was not added before."""
        keys: dict[str, int] = {}
        batch = [
            [
                transaction.transaction_id,
                _index(keys, f"{self._prefix}:counted:{transaction.booked_ms // 3_600_000}"),
                [
                    [
                        _index(keys, self.key(score.board, period, transaction.at_ms)),
                        score.member,
                        str(score.amount),
                        KEPT_SECONDS[period],
                    ]
                    for score in transaction.scores
                    for period in PERIODS
                ],
            ]
            for transaction in counted
        ]
        if batch:
            arguments = [MEMORY_HOURS * 3_600, msgspec.json.encode(batch)]
            await self._server.script("count_gifts", list(keys), arguments)

    async def replace(self, board: Board, period: Period, at_ms: int, totals: dict[str, int]) -> None:
        """Puts a whole board in place of the present one."""
        key = self.key(board, period, at_ms)
        fresh = f"{key}:fresh"
        await self._server.execute("DEL", fresh)
        members = list(totals.items())
        for start in range(0, len(members), 1_000):
            words = [word for member, amount in members[start : start + 1_000] for word in (amount, member)]
            await self._server.execute("ZADD", fresh, *words)
        if not members:
            await self._server.execute("DEL", key)
            return
        if KEPT_SECONDS[period]:
            await self._server.execute("EXPIRE", fresh, KEPT_SECONDS[period])
        await self._server.execute("RENAME", fresh, key)

    async def totals(self, board: Board, period: Period, at_ms: int) -> dict[str, int]:
        """A whole board, for the comparison with the ledger."""
        found = await self._server.execute("ZRANGE", self.key(board, period, at_ms), 0, -1, "WITHSCORES")
        return {member: amount for member, amount in _pairs(found) if amount != 0}


def _index(keys: dict[str, int], key: str) -> int:
    """The place of a key among the script's keys, from 1."""
    return keys.setdefault(key, len(keys) + 1)


def _pairs(found: Any) -> list[tuple[str, int]]:
    """Members with scores, in the flat form of RESP2 or the nested one of RESP3."""
    if found and isinstance(found[0], list | tuple):
        pairs = found
    else:
        pairs = list(zip(found[::2], found[1::2], strict=True))
    return [(_text(member), int(float(amount))) for member, amount in pairs]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
