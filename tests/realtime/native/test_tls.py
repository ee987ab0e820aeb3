"""Behind TLS nothing is sent past the transport: what a client gets is what was encrypted for it."""

from __future__ import annotations

import asyncio
import datetime
import json
import ssl
from pathlib import Path

import aiohttp
import pytest
import uvloop

from realtime import native
from realtime.engine.lines import NO_LINE
from realtime.socketio.frames import Frames
from realtime.web.certificate import tls_context
from tests.realtime.socketio.application import Recorder, listening, make_server
from tests.realtime.wire import until

EVENTS = 200


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_room_behind_tls(tmp_path: Path, loop_factory: type[asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_talk(tmp_path))


async def _talk(directory: Path) -> None:
    application = Recorder()
    server = make_server(application)
    server.fanout.send_each = native.sender()
    group = server.group()
    application.joins = [group]
    context = tls_context(directory, ["127.0.0.1"], datetime.datetime.now(datetime.UTC))
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    async with (
        listening(server, ssl_context=context) as port,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"wss://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket", ssl=trust) as client,
    ):
        await client.send_str("40")
        await until(lambda: application.connections)
        assert application.connections[0].peer.session.line == NO_LINE
        for number in range(EVENTS):
            group.send(Frames("e", {"n": number, "filler": "x" * (number % 7) * 5000}))
            await asyncio.sleep(0)
        heard: list[int] = []
        async with asyncio.timeout(30):
            while len(heard) < EVENTS:
                text = await client.receive_str()
                if text.startswith("42"):
                    heard.append(json.loads(text[2:])[1]["n"])
        assert heard == list(range(EVENTS))
