"""A smaller run of `python -m tests.integration.reconnects`."""

import pytest

from tests.integration.clients import Clients
from tests.integration.nodes import Cluster
from tests.integration.reconnects import storm

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]


async def test_reconnects_lose_and_double_nothing(nodes: Cluster, clients: Clients) -> None:
    result = await storm(nodes, clients, walkers=8, rounds=15, seed=3)
    assert result.reconnects == 120
    assert result.kills == 1
