"""Two nodes behind a balancer that knows nothing of sessions: every connection goes to the next node.

Polls and posts that reach the wrong node are answered by the right one. An upgrade that reaches the wrong one
is refused before it begins, and the client goes on polling: it loses nothing and is not disconnected.
"""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.integration.clients import Clients
from tests.integration.nodes import Cluster, token
from tests.integration.relay import Balancer

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]
CLIENTS = 6
MESSAGES = 5


async def test_clients_live_on_whichever_transport_they_get(nodes: Cluster, clients: Clients) -> None:
    pair = await asyncio.gather(nodes.start(), nodes.start())
    await nodes.room()
    balancer = Balancer([node.url for node in pair])
    await balancer.start()
    try:
        people = []
        for number in range(CLIENTS):
            kind = {"library": ("newest", "4.6")[number % 2], "parser": ("json", "msgpack")[number // 2 % 2]}
            transports = ["polling", "websocket"]
            made = token(f"u{number}")
            client = await clients.open(f"c{number}", balancer.url, made, transports=transports, **kind)
            await client.join()
            people.append(client)
        for number in range(MESSAGES * CLIENTS):
            await people[number % CLIENTS].command("chat:send", text=str(number))
        said = [str(number) for number in range(MESSAGES * CLIENTS)]
        for client in people:
            await client.event("chat:message", text=said[-1])
            received = [body["text"] for name, body, _ in await client.events() if name == "chat:message"]
            assert received == said, client.name
            state = await client.state()
            assert state["connected"]
            assert len(state["connects"]) == 1, state
            assert state["transport"] in ("polling", "websocket")
            await client.close()
    finally:
        await balancer.close()


async def test_an_upgrade_at_the_wrong_node_is_refused_and_polling_goes_on(nodes: Cluster) -> None:
    one, two = await asyncio.gather(nodes.start(), nodes.start())
    await nodes.room()
    polling = "/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as http:
        async with http.get(one.url + polling) as answer:
            sid = (await answer.text()).split('"')[3]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await http.ws_connect(f"{two.url}/socket.io/?EIO=4&transport=websocket&sid={sid}")
        assert refusal.value.status == 400
        hello = '40{"token":"' + token("ann") + '"}'
        async with http.post(f"{two.url}{polling}&sid={sid}", data=hello) as answer:
            assert answer.status == 200
        async with http.get(f"{two.url}{polling}&sid={sid}") as answer:
            assert (await answer.text()).startswith("40{")
        async with http.ws_connect(f"{one.url}/socket.io/?EIO=4&transport=websocket&sid={sid}") as socket:
            await socket.send_str("2probe")
            assert (await socket.receive()).data == "3probe"
