"""The server that the official suites expect, made of our classes: `python -m tests.conformance.server`.

/engine.io/ echoes every message. /socket.io/ tells in `auth` what it was given at connect (namespaces `/` and
`/custom`), returns `message` as `message-back` and acknowledges `message-with-ack` with its arguments.
"""

import argparse
import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from loadtests.benchmarks.processes import free_port
from realtime.engine.front import FrontSite
from realtime.engine.limits import Limits
from realtime.engine.server import Engine
from realtime.socketio.server import Server


def limits(ping_interval_seconds: float, ping_timeout_seconds: float) -> Limits:
    return Limits(
        ping_interval_seconds=ping_interval_seconds,
        ping_timeout_seconds=ping_timeout_seconds,
        connect_timeout_seconds=2 * (ping_interval_seconds + ping_timeout_seconds),
        message_bytes=1_000_000,
        attachments=10,
        connections_per_address=0,
    )


def build(limits: Limits) -> tuple[web.Application, Server, Engine]:
    app = web.Application()
    engine = Engine(limits=limits, cors_allowed_origins="*")
    engine.attach(app)
    server = Server(limits=limits, origins="*")
    server.attach(app)

    async def echo(sid: str, data: str | bytes) -> None:
        await engine.send(sid, data)

    engine.on("message", echo)
    for namespace in ("/", "/custom"):
        server.on("connect", _greeter(server, namespace), namespace=namespace)

    async def back(sid: str, *arguments: Any) -> None:
        await server.emit("message-back", arguments, to=sid)

    async def acknowledge(sid: str, *arguments: Any) -> tuple[Any, ...]:
        return arguments

    server.on("message", back)
    server.on("message-with-ack", acknowledge)
    return app, server, engine


def _greeter(server: Server, namespace: str) -> Any:
    async def connect(sid: str, environ: dict[str, Any], auth: dict[str, Any] | None) -> None:
        await server.emit("auth", auth or {}, to=sid, namespace=namespace)

    return connect


def bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    return sock


@contextlib.asynccontextmanager
async def running(limits: Limits, port: int = 0, *, front: bool = True) -> AsyncIterator[int]:
    """Serves on both loopback addresses, as `localhost` may be either; yields the port."""
    app, server, engine = build(limits)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = port or free_port()
    for sock in (bound("127.0.0.1", port), bound("::1", port)):
        site = FrontSite(runner, sock, [server.eio, engine]) if front else web.SockSite(runner, sock)
        await site.start()
    try:
        yield port
    finally:
        await server.eio.shutdown()
        await engine.shutdown()
        await runner.cleanup()


async def serve(limits: Limits, port: int, front: bool) -> None:
    async with running(limits, port, front=front) as bound:
        print(f"listening on http://localhost:{bound}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--no-front", action="store_true", help="upgrades go through aiohttp")
    parser.add_argument("--ping-interval", type=float, default=0.3, metavar="SECONDS")
    parser.add_argument("--ping-timeout", type=float, default=0.2, metavar="SECONDS")
    arguments = parser.parse_args()
    chosen = limits(arguments.ping_interval, arguments.ping_timeout)
    logging.basicConfig(level=logging.WARNING)
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(chosen, arguments.port, not arguments.no_front))


if __name__ == "__main__":
    main()
