"""The check of the books as a part of the node: now and then, by one node at a time, told as metrics and log.

`flylive ledger verify` is the same check on demand. It reads the whole ledger, so it runs rarely; the
node that gets the advisory lock does it, the others skip their turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from api.ledger.database import Database
from api.ledger.verification import READ_SECONDS, Verification
from state.rejections import Unavailable

# Any constant, the same in every version.
LOCK: Final = 7_305_521_940_002
_log = structlog.get_logger("ledger")


class Auditor:
    """Runs the check every so often; never, when the interval is 0."""

    name = "auditor"

    def __init__(self, database: Database, verification: Verification, *, interval_seconds: float) -> None:
        self._database = database
        self._verification = verification
        self._interval_seconds = interval_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """The first check comes after one interval: a start is no time for it."""
        if self._interval_seconds:
            self._task = asyncio.create_task(self._run())

    async def drain(self, seconds: float) -> None:
        """Nobody waits for a check."""

    async def stop(self) -> None:
        """A check under way is given up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def check(self) -> str | None:
        """Faults do not make a node unready: another one would find the same."""
        return None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self.audit()
            except Unavailable as error:
                _log.warning("the ledger could not be checked", reason=str(error))

    async def audit(self) -> list[str] | None:
        """What does not hold; None when another node is looking."""
        async with self._database.connection(READ_SECONDS) as connection:
            # Of the session, not of a transaction: one that is open and idle for so long would be ended.
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                return None
            try:
                faults = await self._verification.faults()
            finally:
                await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
        for fault in faults:
            _log.error("a rule of the ledger does not hold", fault=fault)
        return faults
