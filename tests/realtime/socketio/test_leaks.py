"""Churn: whatever way clients end, reference counts alone free all of it; the cyclic collector is off
here."""

import asyncio
import contextlib
import gc
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp.web_protocol import RequestHandler

from realtime.engine.front import Doorway
from realtime.engine.link import Link
from realtime.engine.parser import FrameReader
from realtime.engine.session import Session
from realtime.socketio.connection import Connection, Peer
from realtime.socketio.frames import Frames
from realtime.socketio.group import Batch
from realtime.socketio.interface import Accept, Refuse
from tests.realtime.socketio.application import Recorder, listening, make_server
from tests.realtime.wire import SocketClient, client_frame, settle, until

KINDS = (Session, Link, Peer, Connection, FrameReader, Batch, Doorway, RequestHandler, asyncio.Task)


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> Counter[str]:
    return Counter(type(item).__name__ for item in gc.get_objects() if isinstance(item, KINDS))


async def _one(rng: random.Random, application: Recorder, client: SocketClient) -> None:
    await settle(rng.randrange(4))
    ending = rng.randrange(8)
    if ending == 0:
        client.feed(client_frame(1, b"part", final=False))
        client.lose(OSError())
    elif ending == 1:
        client.send("41" if not client.packed else b"\x82\xa4type\x01\xa3nsp\xa1/")
    elif ending == 2:
        client.send("garbage")
    elif ending == 3:
        client.feed(client_frame(8, b"\x03\xe8"))
    elif ending == 4 and application.connections:
        application.connections[-1].close("kicked", resumable=False)
    elif ending == 5:
        client.transport.stalled = True
        client.send(*(client.event("echo", "x" * 500, ack_id=n) for n in range(5)))
    elif ending == 6:
        client.send(client.event("slow"), client.event("echo"))
    client.lose()


async def test_memory_clients() -> None:
    application, rng = Recorder(), random.Random(5)
    server = make_server(application, soft_buffer_bytes=1000, hard_buffer_bytes=2000)
    group = server.group()
    application.joins = [group]
    before = alive()
    for number in range(600):
        application.answer = Refuse("no") if number % 7 == 0 else Accept()
        await _one(rng, application, SocketClient(server, packed=number % 3 == 0))
        group.send(Frames("e", {"n": number}))
    await until(lambda: len(asyncio.all_tasks()) == 1)
    await settle()
    application.connections.clear()
    application.seen.clear()
    assert not server.eio.sockets
    assert len(group) == 0
    assert alive() == before


@pytest.mark.parametrize("front", [True, False], ids=["front", "aiohttp"])
async def test_real_sockets(front: bool) -> None:
    application = Recorder()
    server = make_server(application)
    async with listening(server, front=front) as port:
        url = f"http://127.0.0.1:{port}/socket.io/"
        before = alive()
        for wave in range(3):
            await asyncio.gather(*(_visit(url, number, wave) for number in range(40)))
            await server.eio.disconnect()
            application.connections.clear()
            await until(lambda: alive() - before == Counter())


async def _visit(url: str, number: int, wave: int) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        if number % 4 == 0:
            async with http.get(url, params={"EIO": "4", "transport": "polling"}) as response:
                await response.read()
            if wave % 2:
                with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                    async with http.get(url, params={"EIO": "3"}, timeout=aiohttp.ClientTimeout(total=0.05)):
                        pass
            return
        async with http.ws_connect(url + "?EIO=4&transport=websocket") as websocket:
            await websocket.receive()
            await websocket.send_str("40")
            await websocket.receive()
            if number % 4 == 1:
                connection: Any = websocket._response.connection
                connection.transport.abort()
