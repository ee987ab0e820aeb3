"""Real clients and gateways over a kernel in memory."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.clients import Clients, real_clients
from tests.realtime.hub import Hub
from tests.realtime.served import Served, served


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with real_clients() as found:
        yield found


@pytest.fixture
def hub() -> Hub:
    made = Hub()
    made.create("lounge")
    return made


@pytest.fixture
async def node(hub: Hub) -> AsyncIterator[Served]:
    async with served(hub) as found:
        yield found
