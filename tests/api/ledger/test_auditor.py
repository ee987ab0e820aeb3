"""The check as a part of the node."""

from __future__ import annotations

import asyncio

from prometheus_client import REGISTRY

from api.ledger.auditor import LOCK, Auditor
from api.ledger.verification import Verification
from tests.api.house import House, until


def auditor(home: House, interval_seconds: float) -> Auditor:
    verification = Verification(home.api.database, home.api.boards, now_ms=home.source.now_ms)
    return Auditor(home.api.database, verification, interval_seconds=interval_seconds)


async def test_faults_are_a_metric(home: House) -> None:
    part = auditor(home, 0.05)
    await home.fill("ada", 1_000)
    await home.pool.execute("UPDATE ledger.accounts SET balance = 999 WHERE owner_id = 'ada'")
    await part.start()

    async def is_seen() -> bool:
        return REGISTRY.get_sample_value("flylive_ledger_faults") == 1

    await until(is_seen, "the fault")
    await part.stop()


async def test_two_nodes_do_not_check_at_once(home: House) -> None:
    part = auditor(home, 0)
    async with home.pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        assert await part.audit() is None
    assert await part.audit() == []


async def test_no_interval_is_never(home: House) -> None:
    part = auditor(home, 0)
    before = len(asyncio.all_tasks())
    await part.start()
    assert len(asyncio.all_tasks()) == before
    await part.stop()
