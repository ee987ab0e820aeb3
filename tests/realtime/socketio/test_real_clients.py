"""Unmodified `socket.io-client`, the newest and the first with recovery, every transport and parser."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from realtime.engine.limits import Limits
from realtime.socketio.server import Server
from tests.realtime.socketio.application import listening
from tests.realtime.socketio.recovering import Recovering
from tests.tools import node, node_environment

SCRIPT = Path(__file__).with_name("real_clients.js")
RUN_SECONDS = 280


@contextlib.asynccontextmanager
async def served(front: bool) -> AsyncIterator[str]:
    application = Recovering()
    limits = Limits(ping_interval_seconds=0.8, ping_timeout_seconds=2.0, connections_per_address=0)
    server = Server(application=application, limits=limits, origins="*")
    application.server = server
    app = web.Application()
    app.router.add_get("/control/{action}", application.control)
    async with listening(server, app, front=front) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.node
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("version", "front"), [("newest", True), ("4.6", False)])
async def test_clients(version: str, front: bool) -> None:
    environment = dict(node_environment())
    async with served(front) as url:
        process = await asyncio.create_subprocess_exec(
            str(node()), str(SCRIPT), url, version, env=environment, stdout=-1, stderr=-1
        )
        output, errors = await asyncio.wait_for(process.communicate(), RUN_SECONDS)
    assert process.returncode == 0, (output + errors).decode()
