"""One suite over every server the kernel may stand on, and over the model of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from state.kernel import real_environment
from state.redis_client import build_server
from state.server import Server
from tests.contract.nodes import ServerFactory
from tests.contract.servers import ClusterProcesses, ServerProcess
from tests.model.server import ModelProcess, ModelServer
from tests.tools import redis_server


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterProcesses]:
    cluster = ClusterProcesses()
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def old_redis() -> Iterator[ServerProcess]:
    server = ServerProcess(redis_server())
    try:
        yield server.start()
    finally:
        server.close()


def _empty_url(kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "valkey":
        return str(request.getfixturevalue("redis_url"))
    if kind == "cluster":
        cluster: ClusterProcesses = request.getfixturevalue("cluster")
        cluster.flush()
        return cluster.url
    old: ServerProcess = request.getfixturevalue("old_redis")
    with old.client() as client:
        client.flushall()
    return old.url


@pytest.fixture(params=["model", "valkey", "redis 7.0", "cluster"])
def make_server(request: pytest.FixtureRequest) -> ServerFactory:
    """Makes, for a process of this name, its port to one empty server."""
    if request.param == "model":
        process = ModelProcess(real_environment().now_ms)
        return lambda _name: ModelServer(process)
    url = _empty_url(request.param, request)
    return lambda name: build_server(url, name=name)


@pytest.fixture
async def server(make_server: ServerFactory) -> AsyncIterator[Server]:
    server = make_server("test")
    await server.open()
    yield server
    await server.close()


@pytest.fixture
async def other_server(make_server: ServerFactory) -> AsyncIterator[Server]:
    """Another process's view of the same server."""
    server = make_server("other")
    await server.open()
    yield server
    await server.close()
