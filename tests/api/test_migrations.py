"""Migrations: once, together or not at all, and never against a schema this code does not know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from api.migrations import Migration, SchemaRefused, apply, migrations

ONE = Migration(1, "one", "CREATE TABLE one (x int); INSERT INTO one VALUES (1);")
TWO = Migration(2, "two", "ALTER TABLE one ADD y int;")
BROKEN = Migration(2, "broken", "CREATE TABLE two (x int); SELECT 1/0;")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP TABLE schema_migrations")
    yield connection
    await connection.close()


async def test_each_is_applied_once_and_in_order(connection: asyncpg.Connection) -> None:
    assert await apply(connection, [ONE]) == [ONE]
    assert await apply(connection, [ONE, TWO]) == [TWO]
    assert await apply(connection, [ONE, TWO]) == []
    assert await connection.fetchval("SELECT count(*) FROM one") == 1


async def test_nodes_that_start_together_apply_once(
    database_url: str, connection: asyncpg.Connection
) -> None:
    slow = Migration(1, "one", f"SELECT pg_sleep(0.2); {ONE.sql}")
    others = [await asyncpg.connect(database_url) for _ in range(4)]
    applied = await asyncio.gather(*(apply(other, [slow, TWO]) for other in others))
    for other in others:
        await other.close()
    assert sorted(map(len, applied)) == [0, 0, 0, 2]
    assert await connection.fetchval("SELECT count(*) FROM one") == 1


async def test_a_failing_file_leaves_nothing(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await apply(connection, [ONE, BROKEN])
    assert await connection.fetchval("SELECT to_regclass('one')") is None
    assert await apply(connection, [ONE, TWO]) == [ONE, TWO]


async def test_a_newer_schema_is_refused(connection: asyncpg.Connection) -> None:
    await apply(connection, [ONE, TWO])
    with pytest.raises(SchemaRefused, match=r"schema version 2 \(two\), this code knows up to 1"):
        await apply(connection, [ONE])


async def test_a_file_that_changed_after_it_was_applied_is_refused(connection: asyncpg.Connection) -> None:
    await apply(connection, [ONE])
    with pytest.raises(SchemaRefused, match="0001_one differs"):
        await apply(connection, [Migration(1, "one", "CREATE TABLE other (x int)")])


def test_the_files_are_numbered_without_gaps() -> None:
    known = migrations()
    assert [migration.version for migration in known] == list(range(1, len(known) + 1))


@pytest.mark.parametrize("names", [["0002_a.sql"], ["0001_a.sql", "0003_b.sql"], ["first.sql"]])
def test_wrong_names_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(SchemaRefused):
        migrations(tmp_path)
