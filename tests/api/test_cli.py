"""`flylive ledger ...` as an operator runs it."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.api.house import house
from tests.api.test_outbox import pay
from tests.processes import run_flylive


async def some_gifts(redis_url: str, database_url: str) -> None:
    async with house(redis_url, database_url) as home:
        await home.open_room()
        await home.sell()
        await home.fill("ada", 1_000)
        await pay(home)
        await home.tell_all()


async def bend(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE ledger.accounts SET balance = balance + 1 WHERE owner_id = 'ada'")
    await connection.close()


@pytest.mark.timeout(200)
def test_verify_says_what_does_not_hold(redis_url: str, database_url: str) -> None:
    asyncio.run(some_gifts(redis_url, database_url))
    urls = {"FLYLIVE_REDIS_URL": redis_url, "FLYLIVE_DATABASE_URL": database_url}
    good = run_flylive("ledger", "verify", **urls)
    assert (good.returncode, good.stdout) == (0, "every rule holds\n"), good.stderr
    rebuilt = run_flylive("ledger", "rebuild-boards", **urls)
    assert (rebuilt.returncode, rebuilt.stdout) == (0, "rebuilt 12 places\n"), rebuilt.stderr
    asyncio.run(bend(database_url))
    bad = run_flylive("ledger", "verify", **urls)
    assert bad.returncode == 1
    assert "(user ada coins) has balance 901" in bad.stdout
    assert run_flylive("ledger", "verify", "--nonsense", **urls).returncode == 2
