"""A small size of `python -m tests.integration.garbage`."""

import pytest

from tests.integration.garbage import ROOM, siege
from tests.integration.nodes import Cluster


@pytest.mark.timeout(300)
async def test_garbage_hurts_nobody(nodes: Cluster) -> None:
    await nodes.start()
    await nodes.room(ROOM)
    result = await siege(nodes, seed=1, seconds=15, say=lambda _text: None)
    assert result.sent["thrown out"] > 0, "who does not stop is thrown out"
    assert result.returns == 0
