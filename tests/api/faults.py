"""Deaths at chosen points of a gift's way, from the request to the announcement.

Inside the database a point is a trigger that ends its own server process, as a crash there would. Outside
it is a wrapper around a port that raises before or after the real call: what the port did stays done,
what was to follow never happens. Each point fires once when it is armed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from api.app import Ports
from state.rejections import Unavailable

# (table, when, event): the function below hangs itself there.
DATABASE_POINTS: Final = {
    "before the accounts are changed": ("accounts", "BEFORE", "UPDATE"),
    "after the accounts are changed": ("accounts", "AFTER", "UPDATE"),
    "before the transaction is written": ("transactions", "BEFORE", "INSERT"),
    "after the transaction is written": ("transactions", "AFTER", "INSERT"),
    "before the entries are written": ("entries", "BEFORE", "INSERT"),
    "after the entries are written": ("entries", "AFTER", "INSERT"),
    "before the outbox is written": ("outbox", "BEFORE", "INSERT"),
    "after the outbox is written": ("outbox", "AFTER", "INSERT"),
    "while the payment commits": ("outbox", "DEFERRED", "INSERT"),
    "before the outbox is emptied": ("outbox", "BEFORE", "DELETE"),
    "while the telling commits": ("outbox", "DEFERRED", "DELETE"),
}
PORT_POINTS: Final = (
    "before the statement is sent",
    "after the commit, before its answer",
    "before the reply",
    "before the boards count",
    "after the boards counted",
    "before a party is told",
    "after a party was told",
    "before the room is told",
    "after the room was told",
)
POINTS: Final = (*PORT_POINTS, *DATABASE_POINTS)

_SCHEMA: Final = """
CREATE SCHEMA fault;
CREATE SEQUENCE fault.fires;
CREATE FUNCTION fault.die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A sequence does not roll back: the point fires once, whatever becomes of the transaction.
    IF nextval('fault.fires') = 1 THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NULL;
END $$;
"""


class Died(Unavailable):
    """Somebody died here."""


class Faults:
    """The points, and which of them is armed."""

    def __init__(self) -> None:
        self.armed: str | None = None
        self._trigger: tuple[str, str] | None = None

    async def prepare(self, pool: Any) -> None:
        """Makes what the database's points need."""
        await pool.execute(_SCHEMA)

    async def arm(self, pool: Any, point: str) -> None:
        """From now on this point fires, once."""
        self.armed = point
        await pool.execute("ALTER SEQUENCE fault.fires RESTART")
        if point not in DATABASE_POINTS:
            return
        table, when, event = DATABASE_POINTS[point]
        if when == "DEFERRED":
            timing = f"CONSTRAINT TRIGGER fault AFTER {event} ON ledger.{table} DEFERRABLE INITIALLY DEFERRED"
            await pool.execute(f"CREATE {timing} FOR EACH ROW EXECUTE FUNCTION fault.die()")
        else:
            timing = f"TRIGGER fault {when} {event} ON ledger.{table}"
            await pool.execute(f"CREATE {timing} FOR EACH STATEMENT EXECUTE FUNCTION fault.die()")
        self._trigger = ("fault", table)

    async def disarm(self, pool: Any) -> bool:
        """Whether the point fired; it does not any more."""
        fired = self.armed is None
        if self._trigger is not None:
            fired = await pool.fetchval("SELECT is_called FROM fault.fires")
            await pool.execute(f"DROP TRIGGER fault ON ledger.{self._trigger[1]}")
        self.armed = self._trigger = None
        return bool(fired)

    def fire(self, point: str) -> None:
        """Dies here if this is the point."""
        if self.armed == point:
            self.armed = None
            raise Died(point)

    def ports(self, real: Ports) -> Ports:
        """The ports with their points."""
        return msgspec.structs.replace(
            real,
            rooms=_Around(self, real.rooms, "perform", "before the room is told", "after the room was told"),
            inbox=_Around(self, real.inbox, "post", "before a party is told", "after a party was told"),
            server=_Around(
                self, real.server, "script", "before the boards count", "after the boards counted"
            ),
        )


class _Around:
    """A port with a point before and one after a call."""

    def __init__(self, faults: Faults, real: Any, call: str, before: str, after: str) -> None:
        self._real = real

        async def around(*arguments: Any, **options: Any) -> Any:
            faults.fire(before)
            result = await getattr(real, call)(*arguments, **options)
            faults.fire(after)
            return result

        setattr(self, call, around)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class FaultyPool:
    """A pool whose connections die around the payment."""

    def __init__(self, faults: Faults, real: Any) -> None:
        self._faults = faults
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def acquire(self) -> Any:
        return _Connection(self._faults, await self._real.acquire())

    async def release(self, connection: Any) -> None:
        await self._real.release(connection.real)


class _Connection:
    def __init__(self, faults: Faults, real: Any) -> None:
        self._faults = faults
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def fetch(self, statement: str, *arguments: Any, **options: Any) -> Any:
        if "ledger.send_gifts" not in statement:
            return await self.real.fetch(statement, *arguments, **options)
        self._faults.fire("before the statement is sent")
        result = await self.real.fetch(statement, *arguments, **options)
        self._faults.fire("after the commit, before its answer")
        return result
