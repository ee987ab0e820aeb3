"""The fixtures that every other test stands on."""

from __future__ import annotations

import asyncpg
import pytest
import redis


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_meets_an_empty_valkey(redis_url: str, attempt: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


@pytest.mark.parametrize("attempt", [1, 2])
async def test_each_test_has_its_own_database(database_url: str, attempt: int) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE left_behind (x int)")
    await connection.close()
