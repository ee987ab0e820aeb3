"""Fixtures every test may use.

Each worker of a parallel run has its own Valkey and its own Postgres, started when the first test asks and
tuned to forget on power loss. A test gets an empty Valkey and a database of its own, copied from a template
that has the migrations applied.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
import redis

from api import migrations
from realtime.embedded.servers import EmbeddedServers
from tests.tools import ToolMissing, chromium, node_modules
from tests.tools import redis_server as oldest_redis

# The same examples each time, and no limit on how long one takes: a busy machine is no finding.
hypothesis.settings.load_profile("ci")

_TEMPLATE = "template_of_tests"
_numbers = itertools.count(1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Installs the foreign tools before the first test: no test's time goes into that."""
    marks = {mark.name for item in session.items for mark in item.iter_markers()}
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    wanted = {
        node_modules: bool(marks & {"node", "browser"}),
        chromium: "browser" in marks,
        oldest_redis: "make_server" in fixtures,
    }
    for install, is_wanted in wanted.items():
        with contextlib.suppress(ToolMissing):  # the test that needs it says so
            if is_wanted:
                install()


def _reachable_directory() -> Path:
    """A temporary directory that the account of Postgres may pass when the tests run as root."""
    path = Path(tempfile.mkdtemp(prefix="flylive-test-"))
    path.chmod(0o711)
    return path


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """Where a test may let a server of its own keep its data; removed afterwards."""
    path = _reachable_directory()
    yield path / "data"
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    path = _reachable_directory()
    with EmbeddedServers(path, database=False, durable=False) as urls:
        assert urls.redis_url is not None
        yield urls.redis_url
    shutil.rmtree(path)


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of an empty Valkey that no other test uses meanwhile."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    path = _reachable_directory()
    with EmbeddedServers(path, redis=False, durable=False) as urls:
        assert urls.database_url is not None
        asyncio.run(_prepare_template(urls.database_url))
        yield urls.database_url
    shutil.rmtree(path)


@pytest.fixture
def database_url(database_server: str) -> Iterator[str]:
    """URL of a database with the current schema and no rows."""
    name = f"test_{next(_numbers)}"
    asyncio.run(_execute(database_server, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}"))
    yield _with_database(database_server, name)
    asyncio.run(_execute(database_server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _prepare_template(server_url: str) -> None:
    await _execute(server_url, f"CREATE DATABASE {_TEMPLATE}")
    connection = await asyncpg.connect(_with_database(server_url, _TEMPLATE))
    try:
        await migrations.apply(connection)
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _with_database(url: str, name: str) -> str:
    return url.replace("/flylive?", f"/{name}?")
