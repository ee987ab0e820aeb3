"""Real clients against real nodes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.clients import Clients, real_clients
from tests.integration.nodes import Cluster, cluster


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with real_clients() as found:
        yield found


@pytest.fixture
async def nodes(data_directory: Path, redis_url: str, database_url: str) -> AsyncIterator[Cluster]:
    async with cluster(data_directory, redis_url, database_url) as found:
        yield found
