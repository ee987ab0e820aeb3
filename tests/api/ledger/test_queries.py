"""Every named query is understood by the schema, says what it is, and is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.ledger.queries import names, query
from tests.api.conftest import Ledger

SOURCES = "".join(path.read_text() for path in Path("api").rglob("*.py"))


@pytest.mark.parametrize("name", names())
async def test_a_query_is_understood(ledger: Ledger, name: str) -> None:
    text = query(name)
    assert text.startswith("-- ")
    async with ledger.pool.acquire() as connection:
        statement = await connection.prepare(text)
        count = len(statement.get_parameters())
    assert all(f"${number}" in text for number in range(1, count + 1))


@pytest.mark.parametrize("name", names())
def test_a_query_is_used(name: str) -> None:
    assert f'"{name}"' in SOURCES
