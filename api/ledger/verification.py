"""The check of the books: every rule that must hold, as a query for what breaks it.

It reads everything in one snapshot, so it may run beside the traffic. The boards are compared last; what
is committed but not told yet is left out on both sides as far as one can see it from here, and a board
that moved meanwhile is looked at again before it counts as wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import Gauge

from api.boards import BOARDS, PERIODS, Boards, starts_ms
from api.ledger.database import Database
from api.ledger.queries import query
from state.fields import Board, Period

RULES: Final = (
    "verify_transactions",
    "verify_balances",
    "verify_chains",
    "verify_gifts",
    "verify_totals",
)
OUTBOX_AGE_MS_MAX: Final = 60_000
READ_SECONDS: Final = 600.0
FOREVER_MS: Final = 2**62
BOARD_LOOKS: Final = 3
LOOK_SECONDS: Final = 0.5

_faults = Gauge("flylive_ledger_faults", "Rules of the ledger that did not hold at the last check.")
_checked = Gauge("flylive_ledger_checked_seconds", "When the ledger was last checked, as Unix time.")
_waiting = Gauge("flylive_outbox_waiting", "Transactions that wait to be told, at the last check.")
_age = Gauge("flylive_outbox_oldest_seconds", "Age of the oldest of them, at the last check.")


class Verification:
    """Checks the ledger, and its boards."""

    def __init__(self, database: Database, boards: Boards, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._boards = boards
        self._now_ms = now_ms

    async def faults(self) -> list[str]:
        """What does not hold; empty when all is well."""
        found = await self._ledger_faults()
        found += await self._board_faults()
        _faults.set(len(found))
        _checked.set(self._now_ms() / 1000)
        return found

    async def rebuild_boards(self) -> int:
        """Puts every current board in the state the ledger says; returns how many places they have."""
        places = 0
        now_ms = self._now_ms()
        for period in PERIODS:
            totals = await self._ledger_totals(period, now_ms)
            for board in BOARDS:
                await self._boards.replace(board, period, now_ms, totals[board])
                places += len(totals[board])
        return places

    async def _ledger_faults(self) -> list[str]:
        found: list[str] = []
        async with (
            self._database.connection(READ_SECONDS) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(f"SET LOCAL statement_timeout = {int(READ_SECONDS * 1000)}")
            for rule in RULES:
                rows = await connection.fetch(query(rule), timeout=READ_SECONDS)
                found += [row["fault"] for row in rows]
            outbox = await connection.fetchrow(query("outbox_age"), self._now_ms())
        _waiting.set(outbox["waiting"])
        _age.set(outbox["age_ms"] / 1000)
        if outbox["age_ms"] > OUTBOX_AGE_MS_MAX:
            found.append(
                f"the oldest of {outbox['waiting']} untold transactions waits for {outbox['age_ms']} ms"
            )
        return found

    async def _board_faults(self) -> list[str]:
        """Differences that are the same at every look; the relay is at work meanwhile."""
        lasting: set[str] | None = None
        for look in range(BOARD_LOOKS):
            if look:
                await asyncio.sleep(LOOK_SECONDS)
            differences = await self._differences()
            lasting = differences if lasting is None else lasting & differences
            if not lasting:
                return []
        return sorted(lasting or ())

    async def _differences(self) -> set[str]:
        found: set[str] = set()
        now_ms = self._now_ms()
        for period in PERIODS:
            expected = await self._ledger_totals(period, now_ms)
            for board in BOARDS:
                shown = await self._boards.totals(board, period, now_ms)
                if shown == expected[board]:
                    continue
                members = shown.keys() | expected[board].keys()
                found |= {
                    f"board {board} by {period} shows {shown.get(member, 0)} for {member}, "
                    f"the ledger {expected[board].get(member, 0)}"
                    for member in members
                    if shown.get(member, 0) != expected[board].get(member, 0)
                }
        return found

    async def _ledger_totals(self, period: Period, now_ms: int) -> dict[Board, dict[str, int]]:
        async with self._database.connection(READ_SECONDS) as connection, connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = {int(READ_SECONDS * 1000)}")
            since_ms = starts_ms(period, now_ms)
            rows: list[Any] = await connection.fetch(
                query("board_totals"), since_ms, FOREVER_MS, timeout=READ_SECONDS
            )
        totals: dict[Board, dict[str, int]] = {board: {} for board in BOARDS}
        for row in rows:
            if row["amount"]:
                totals[row["board"]][row["member"]] = row["amount"]
        return totals
