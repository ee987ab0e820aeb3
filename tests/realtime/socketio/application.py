"""A product for the wire's tests: it records, and does what the test has told it to."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from realtime.engine.front import FrontSite
from realtime.engine.limits import Limits
from realtime.socketio.interface import Accept, Connection, Recovery, Refuse
from realtime.socketio.server import Server
from tests.realtime.wire import SocketClient, settle

Command = Callable[[Connection, list[Any], int | None], Awaitable[None] | None]


class Recorder:
    """The application: `commands` by name; everything that happened in `seen`, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.connections: list[Connection] = []
        self.commands: dict[str, Command] = {"echo": self._echo, "slow": self._slow}
        self.answer: Accept | Refuse | Exception = Accept()
        self.gate: asyncio.Event | None = None  # what on_connect waits for
        self.joins: list[Any] = []  # groups that every client joins at connect

    async def on_connect(
        self, connection: Connection, auth: dict[str, Any], recovery: Recovery | None
    ) -> Accept | Refuse:
        self.seen.append(("connect", auth, recovery))
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Accept):
            self.connections.append(connection)
            for group in self.joins:
                group.add(connection)
        return self.answer

    def on_command(
        self, connection: Connection, name: str, arguments: list[Any], ack_id: int | None, size_bytes: int
    ) -> Awaitable[None] | None:
        self.seen.append((name, *arguments))
        assert size_bytes > 0
        command = self.commands.get(name)
        return command(connection, arguments, ack_id) if command is not None else None

    def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.seen.append(("disconnect", reason))

    @staticmethod
    def _echo(connection: Connection, arguments: list[Any], ack_id: int | None) -> None:
        connection.acknowledge(ack_id, {"ok": True, "data": arguments})

    async def _slow(self, connection: Connection, arguments: list[Any], ack_id: int | None) -> None:
        await asyncio.sleep(0.01)
        connection.acknowledge(ack_id, arguments)


def make_server(application: Recorder, **limits: Any) -> Server:
    quiet = {"ping_interval_seconds": 60.0, "ping_timeout_seconds": 60.0, "connections_per_address": 0}
    return Server(application=application, limits=Limits(**{**quiet, **limits}), origins="*")


@contextlib.asynccontextmanager
async def listening(
    server: Server,
    app: web.Application | None = None,
    *,
    front: bool = True,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """The server on real sockets, behind the front or as a plain aiohttp application. -> the port"""
    app = app or web.Application()
    server.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0))
    site = FrontSite(runner, sock, [server.eio], ssl_context=ssl_context)
    await (site if front else web.SockSite(runner, sock)).start()
    try:
        yield sock.getsockname()[1]
    finally:
        await server.eio.shutdown()
        await runner.cleanup()


async def connected(server: Server, *, packed: bool = False) -> SocketClient:
    """A client that has its CONNECT."""
    client = SocketClient(server, packed=packed)
    await settle()
    ((kind, fields),) = client.packets()
    assert kind == 0
    assert set(fields) <= {"sid", "pid"}
    return client
