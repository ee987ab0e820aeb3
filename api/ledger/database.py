"""The port to Postgres: a bounded wait for everything, and one exception for "it did not answer".

A caller with money in its hand gets yes, no, or `Unavailable` within its time. After `Unavailable` the
outcome is unknown: the statement may have been committed although the answer was lost. Asking again with
the same idempotency key finds out, which is why the ledger keeps keys for good.

A connection whose statement ran out of time is thrown away: waiting for its cancellation would take as
long as the trouble that caused it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from api.ledger.queries import query
from state.rejections import Unavailable

# Conditions of the server, not of the statement: again later may help.
_TROUBLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)


class Database:
    """Runs named queries over a pool. Every call raises Unavailable when there is no answer in time."""

    def __init__(self, pool: asyncpg.Pool, *, timeout_seconds: float) -> None:
        self._pool = pool
        self._timeout_seconds = timeout_seconds

    @asynccontextmanager
    async def connection(self, timeout_seconds: float | None = None) -> AsyncIterator[Any]:
        """A connection for a few statements, the wait for a free one included in the time."""
        try:
            async with asyncio.timeout(timeout_seconds or self._timeout_seconds):
                connection = await self._pool.acquire()
                try:
                    yield connection
                except BaseException as error:
                    if isinstance(error, asyncio.CancelledError | asyncpg.InterfaceError):
                        connection.terminate()
                    raise
                finally:
                    await self._pool.release(connection)
        except _TROUBLE as error:
            raise Unavailable(f"the database does not answer: {type(error).__name__}") from error

    async def rows(self, name: str, *arguments: Any) -> list[Any]:
        """All rows of a named query."""
        async with self.connection() as connection:
            result: list[Any] = await connection.fetch(query(name), *arguments)
            return result

    async def row(self, name: str, *arguments: Any) -> Any:
        """The first row of a named query, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(query(name), *arguments)


def pool_options(*, size: int, timeout_ms: int) -> dict[str, Any]:
    """How the node's pool is to be made: bounds on the server's side too, for callers that died."""
    return {
        "min_size": 2,
        "max_size": size,
        "command_timeout": timeout_ms / 1000,
        # Connections keep nothing that would have to be reset; the default asks the server each time.
        "reset": _keep,
        "server_settings": {
            "application_name": "flylive",
            "statement_timeout": str(timeout_ms),
            "lock_timeout": str(max(1, timeout_ms // 2)),
            "idle_in_transaction_session_timeout": str(10 * timeout_ms),
        },
    }


async def _keep(_connection: Any) -> None:
    return None
