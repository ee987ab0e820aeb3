"""One suite over every server the kernel may stand on, and over the model of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from state.keys import Keys
from state.redis_client import build_server
from state.server import Server
from tests.contract.servers import ClusterProcesses, ServerProcess, redis_70


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterProcesses]:
    cluster = ClusterProcesses()
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def old_redis() -> Iterator[ServerProcess]:
    server = ServerProcess(redis_70())
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(params=["valkey", "redis 7.0", "cluster"])
def server_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty server of each kind."""
    if request.param == "valkey":
        return str(request.getfixturevalue("redis_url"))
    if request.param == "cluster":
        cluster: ClusterProcesses = request.getfixturevalue("cluster")
        cluster.flush()
        return cluster.url
    old: ServerProcess = request.getfixturevalue("old_redis")
    with old.client() as client:
        client.flushall()
    return old.url


@pytest.fixture
async def server(server_url: str) -> AsyncIterator[Server]:
    server = build_server(server_url, name="test")
    await server.open()
    yield server
    await server.close()


@pytest.fixture
async def other_server(server_url: str) -> AsyncIterator[Server]:
    """Another process's view of the same server."""
    server = build_server(server_url, name="other")
    await server.open()
    yield server
    await server.close()


@pytest.fixture
def keys() -> Keys:
    return Keys("t")
