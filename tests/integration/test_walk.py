"""The shortest way through the house: two nodes, real clients, a seat, a message."""

import pytest

from tests.integration.clients import Clients
from tests.integration.nodes import Cluster, token

pytestmark = pytest.mark.node


async def test_a_room_over_two_nodes(nodes: Cluster, clients: Clients) -> None:
    one, two = await nodes.start(), await nodes.start()
    await nodes.room()
    ann = await clients.open("ann", one.url, token("ann"))
    ben = await clients.open("ben", two.url, token("ben"), parser="msgpack", transports=["polling"])
    assert (await ann.join())["snapshot"]["online"] in (0, 1)
    await ben.join()
    await ann.event("member:joined")
    taken = await ann.command("seat:take", index=3)
    assert taken["seat"]["user"]["user_id"] == "ann"
    assert (await ben.event("seat:changed", cause="take"))["seats"][0]["index"] == 3
    await ben.command("chat:send", text="hello")
    assert (await ann.event("chat:message"))["text"] == "hello"
    seqs = await ann.seqs()
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
