"""Smaller runs of `python -m tests.integration.storms`."""

import pytest

from tests.integration.nodes import Cluster
from tests.integration.storms import joins, returns

pytestmark = pytest.mark.timeout(300)


async def test_a_crowd_joins_at_once(nodes: Cluster) -> None:
    await nodes.start()
    assert (await joins(nodes, 300)).count == 300


async def test_a_crowd_comes_back_at_once(nodes: Cluster) -> None:
    await nodes.start()
    assert (await returns(nodes, 300)).count == 300
