"""The composition root: the one file that knows every folder.

Each part has one build function with explicit arguments. The order in `_parts` is the order of starting; the
reverse is the order of stopping.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

import asyncpg
import msgspec
from aiohttp import web

from api import migrations
from api.app import Api, Ports, build_api
from api.catalog import seed
from api.ledger.database import pool_options
from realtime.assembly import GatewayPart, build_gateway
from realtime.config import EVERYWHERE
from realtime.console.part import Console, Place
from realtime.development import SAMPLE_ROOM, Development
from realtime.documents.asyncapi import asyncapi
from realtime.documents.tables import tables
from realtime.documents.typescript import typescript
from realtime.embedded.servers import EmbeddedServers
from realtime.embedded.watch import EmbeddedWatch
from realtime.engine.front import FrontSite
from realtime.engine.requests import client_address, networks
from realtime.failures import CannotStart
from realtime.health import Health, LoopWatch
from realtime.keys import keyring
from realtime.listeners import Listeners
from realtime.node import Lifecycle, Node, Part
from realtime.requirements import CONNECT_SECONDS, refuse_old_postgres, refuse_unusable_redis
from realtime.rooms_part import RoomsPart
from realtime.tap import Tap, tap_routes
from realtime.web.routes import Pages, web_routes
from sfu.assembly import build_media
from state import collector
from state.kernel import Kernel, build_kernel
from state.ports import CommandService
from state.service_keys import ServiceKeys
from state.settings import Settings

Visitors = Callable[[str, str], Awaitable[str]]

BODY_BYTES_MAXIMUM = 1024 * 1024
# Long polls and downloads that outlive the drain are cut after this.
SHUTDOWN_SECONDS = 1.0
# An HTTP connection that asks nothing, or dribbles its next request, is closed after this.
IDLE_SECONDS = 75.0


async def serve(
    settings: Settings,
    listeners: Listeners,
    servers: EmbeddedServers | None,
    announce: Callable[[Node], None],
    *,
    is_development: bool,
) -> None:
    """Runs a node until it is told to stop. `settings` has the URLs and the keys filled in."""
    stop = _stop_event()
    async with _connected(settings, listeners.plain, is_development) as node:
        lifecycle, gateway = _compose(node, served_url(settings.node.host, listeners.plain), servers)
        runner = web.AppRunner(
            node.web,
            access_log=None,
            handle_signals=False,
            # A request's body is what it is: a small one must not unpack into a large one.
            auto_decompress=False,
            shutdown_timeout=SHUTDOWN_SECONDS,
            keepalive_timeout=IDLE_SECONDS,
        )
        try:
            await lifecycle.start()
            await runner.setup()
            collector.settle()
            engines = [gateway.sockets.eio]
            await FrontSite(runner, listeners.plain, engines).start()
            if secure := listeners.secure:
                await FrontSite(runner, secure.socket, engines, ssl_context=secure.context).start()
            announce(node)
            await stop.wait()
            await lifecycle.drain(settings.node.drain_notice_seconds, settings.node.drain_seconds)
        finally:
            await runner.cleanup()
            await lifecycle.stop()


def _compose(node: Node, own_url: str, servers: EmbeddedServers | None) -> tuple[Lifecycle, GatewayPart]:
    """All parts in the order of their starting, and all routes."""
    kernel = build_kernel(node.settings.redis.url, node.settings)
    media = build_media(node.settings, kernel, keyring(node.settings), node.settings.node.host)
    api = _api(node, kernel, media.service)
    services: dict[str, CommandService] = dict.fromkeys(("gift", "wallet", "rank"), api.service)
    services["rtc"] = media.service
    gateway = _gateway(node, kernel, own_url, services)
    place = Place(kernel.node, own_url, node.url)
    console = Console(kernel.server, kernel.keys, place, ServiceKeys(node.settings.auth))
    parts = [
        *_watches(node, servers),
        RoomsPart(kernel),
        # Its workers are processes that take a second to begin: they do so while the others start.
        media.part,
        api.relay,
        api.auditor,
        gateway,
        console,
    ]
    node.web.add_routes(console.routes())
    visitors = None
    if node.is_development:
        development = _development(node, kernel, api)
        parts.append(development)
        visitors = development.visitor
    lifecycle = Lifecycle(parts)
    node.web.add_routes(web_routes(_pages(api, visitors)))
    node.web.add_routes(media.routes)
    node.web.add_subapp(api.prefix, api.rest)
    node.web.add_routes(_health(node, kernel, lifecycle).routes())
    return lifecycle, gateway


def _stop_event() -> asyncio.Event:
    """Set by the first SIGTERM or Ctrl-C. The second meets the system's default and ends the process at
    once; its children follow by their death signals."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first)
    return stop


def _watches(node: Node, servers: EmbeddedServers | None) -> list[Part]:
    parts: list[Part] = [LoopWatch(node.settings.node.loop_lag_limit_ms)]
    if servers is not None:
        parts.append(EmbeddedWatch(servers))
    return parts


def _gateway(node: Node, kernel: Kernel, own_url: str, services: Mapping[str, CommandService]) -> GatewayPart:
    tap = Tap()
    gateway = build_gateway(
        node_id=kernel.node,
        own_url=own_url,
        settings=node.settings.gateway,
        prefix=node.settings.redis.prefix,
        keyring=keyring(node.settings),
        kernel=kernel,
        services=services,
        tap=tap,
        now_ms=kernel.environment.now_ms,
    )
    gateway.attach(node.web)
    may_listen = ServiceKeys(node.settings.auth).door("tap", kernel.environment.now_ms)
    node.web.add_routes(tap_routes(tap, may_listen))
    return gateway


def _api(node: Node, kernel: Kernel, media: CommandService) -> Api:
    trusted = networks(node.settings.gateway.trusted_proxies)

    def address_of(request: web.Request) -> str:
        return client_address(request.remote or "", request.headers.get("X-Forwarded-For"), trusted)

    return build_api(
        settings=node.settings.api,
        auth=node.settings.auth,
        keyring=keyring(node.settings),
        pool=node.database,
        ports=Ports(kernel.rooms, kernel.audience, kernel.directory, kernel.inbox, kernel.server, media),
        node_id=kernel.node,
        prefix=node.settings.redis.prefix,
        url=node.url,
        version=version("flylive-realtime"),
        address_of=address_of,
    )


def _development(node: Node, kernel: Kernel, api: Api) -> Development:
    async def credit(user_id: str, coins: int) -> None:
        key = f"development-{user_id}"
        await api.books.credit(
            user_id, key, amount=coins, currency="coins", reason="pocket money", reference=key
        )

    return Development(node.settings, kernel.rooms, stock=lambda: seed(api.catalog), credit=credit)


def _pages(api: Api, visitors: Visitors | None) -> Pages:
    contract = asyncapi(version("flylive-realtime"))
    documents = {
        "/asyncapi.json": (msgspec.json.encode(contract), "application/json"),
        "/openapi.json": (api.openapi, "application/json"),
        "/flylive.d.ts": (typescript(contract).encode(), "text/plain"),
        "/docs/tables.json": (msgspec.json.encode(tables()), "application/json"),
    }
    front = f"/room/{SAMPLE_ROOM}" if visitors else "/docs"
    return Pages(documents, front=front, visitors=visitors)


def _health(node: Node, kernel: Kernel, lifecycle: Lifecycle) -> Health:
    async def valkey() -> str | None:
        await kernel.server.execute("EXISTS", f"{node.settings.redis.prefix}:health")
        return None

    async def postgres() -> str | None:
        await node.database.fetchval("SELECT 1")
        return None

    checks = {"valkey": valkey, "postgres": postgres}
    checks |= {part.name: part.check for part in lifecycle.parts}
    return Health(checks, lambda: lifecycle.is_draining)


@asynccontextmanager
async def _connected(
    settings: Settings, listener: socket.socket, is_development: bool
) -> AsyncIterator[Node]:
    """A node with its servers reached and their schema in place."""
    await refuse_unusable_redis(settings.redis)
    database = await _database(settings)
    try:
        yield Node(
            settings,
            database=database,
            web=web.Application(client_max_size=BODY_BYTES_MAXIMUM),
            url=settings.node.public_url.rstrip("/") or served_url(settings.node.host, listener),
            is_development=is_development,
        )
    finally:
        database.terminate()


def served_url(host: str, listener: socket.socket) -> str:
    """The URL of the listening socket; an address that means "all" is reached over loopback."""
    port = listener.getsockname()[1]
    reached = EVERYWHERE.get(host, host)
    name = f"[{reached}]" if ":" in reached else reached
    return f"http://{name}:{port}"


async def _database(settings: Settings) -> asyncpg.Pool:
    await migrated(settings)
    with _database_refusals():
        options = pool_options(size=settings.database.pool_size, timeout_ms=settings.database.timeout_ms)
        return await asyncpg.create_pool(settings.database.url, timeout=CONNECT_SECONDS, **options)


async def migrated(settings: Settings) -> list[str]:
    """Brings the schema up to date; returns the names of what was applied."""
    with _database_refusals():
        connection = await asyncio.wait_for(asyncpg.connect(settings.database.url), CONNECT_SECONDS)
        try:
            refuse_old_postgres(connection.get_server_version().major)
            applied = await migrations.apply(connection)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    return [f"{migration.version:04d}_{migration.name}" for migration in applied]


@contextmanager
def _database_refusals() -> Iterator[None]:
    try:
        yield
    except migrations.SchemaRefused as error:
        raise CannotStart(str(error)) from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise CannotStart(f"Postgres cannot be reached at database.url: {error or 'no answer'}") from error
