"""Unmodified `socket.io-client`, the newest and the first with recovery, every transport and parser."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from realtime.engine.front import FrontSite
from realtime.engine.limits import Limits
from realtime.socketio.server import Server
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
    server.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    await (FrontSite(runner, sock, [server.eio]) if front else web.SockSite(runner, sock)).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.eio.shutdown()
        await runner.cleanup()


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
