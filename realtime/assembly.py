"""The gateway put together: everything explicit, from the kernel's ports up to the Socket.IO server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping

from aiohttp import web

from realtime import native
from realtime.admission import Addresses, Admission, Rates, parse_rate
from realtime.background import Background
from realtime.engine.limits import Limits
from realtime.engine.reasons import Reason
from realtime.expiry import Expiries
from realtime.forwarding import Neighbours
from realtime.gateway import END_SIGNAL, Gateway
from realtime.parts import Kernel, Parts
from realtime.recovery import Records
from realtime.sessions import Sessions
from realtime.socketio.frames import Frames
from realtime.socketio.server import Server as SocketServer
from realtime.tap import Tap
from state import settings as configuration
from state.ports import CommandService
from state.rejections import Unavailable
from state.tokens import KeyRing

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
ANNOUNCE_TICKS = 5
SOCKET_ID_BYTES = 15
DRAIN_BATCHES = 20  # a crowd that is let go at once comes back at once, to the nodes that are left


class GatewayPart:
    """The gateway as a part of a node: started, drained and stopped with it."""

    name = "gateway"

    def __init__(self, gateway: Gateway, sockets: SocketServer, neighbours: Neighbours) -> None:
        self.gateway = gateway
        self.sockets = sockets
        self.neighbours = neighbours
        self._clock: asyncio.Task[None] | None = None

    def attach(self, application: web.Application) -> None:
        application.middlewares.append(self.neighbours.guard)
        self.sockets.attach(application)

    async def start(self) -> None:
        await self.neighbours.announce()
        self._clock = asyncio.get_running_loop().create_task(self._run())

    async def check(self) -> str | None:
        return None if self._clock is not None and not self._clock.done() else "the gateway's clock stands"

    async def drain(self, seconds: float) -> None:
        """Tell the clients, then let go of them in batches; they come back by themselves, elsewhere."""
        sessions = list(self.gateway.parts.sessions.by_connection.values())
        frames = Frames("sys:draining", {"reconnect_in_ms": round(seconds * 1000)})
        for session in sessions:
            session.connection.send(frames)
        await asyncio.sleep(0)
        batch = max(1, -(-len(sessions) // DRAIN_BATCHES))
        await self.sockets.drain(
            Reason.SERVER_SHUTDOWN, batch=batch, pause_seconds=seconds / (DRAIN_BATCHES + 1)
        )
        await self.gateway.parts.background.settle()

    async def stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock
        await self.sockets.drain(Reason.SERVER_SHUTDOWN, batch=1_000_000, pause_seconds=0)
        await self.gateway.parts.background.settle()
        await self.neighbours.withdraw()

    async def _run(self) -> None:
        for number in itertools.count():
            try:
                await self.gateway.tick()
                await self._keep_some(number)
                if number % ANNOUNCE_TICKS == 0:
                    await self.neighbours.announce()
            except Unavailable as failure:
                logger.warning("gateway: %s", failure)
            except Exception:
                logger.exception("the gateway's clock stumbled")
            await asyncio.sleep(TICK_SECONDS)

    async def _keep_some(self, number: int) -> None:
        """Refresh the leases of a part of the sessions, so that each has its turn in good time."""
        parts = self.gateway.parts
        turns = max(1, parts.records.lease_seconds // 3)
        sessions = list(parts.sessions.by_connection.values())[number % turns :: turns]
        await parts.records.keep(session.record for session in sessions)


def build_gateway(
    *,
    node_id: str,
    own_url: str,
    settings: configuration.Gateway,
    prefix: str,
    keyring: KeyRing,
    kernel: Kernel,
    services: Mapping[str, CommandService],
    tap: Tap,
    now_ms: Callable[[], int],
) -> GatewayPart:
    """`services` by domain of their commands: gift, wallet, rank, rtc."""
    numbers = itertools.count(1)
    sessions = Sessions()
    parts = Parts(
        kernel=kernel,
        services=services,
        keyring=keyring,
        admission=Admission(rates(settings), now_ms()),
        records=Records(kernel.server, prefix, settings.recovery_seconds),
        sessions=sessions,
        expiries=Expiries(sessions),
        background=Background(),
        tap=tap,
        replay_bytes=settings.buffer_hard_bytes // 2,
        now_ms=now_ms,
        new_connection_id=lambda: f"{node_id}.{next(numbers)}",
    )
    neighbours = Neighbours(node_id, settings.advertised_url or own_url, kernel.server, prefix, now_ms)
    gateway = Gateway(parts)
    sockets = SocketServer(
        application=gateway,
        limits=limits(settings),
        origins=origins(settings),
        new_sid=lambda: f"{node_id}.{secrets.token_urlsafe(SOCKET_ID_BYTES)}",
        stray=neighbours.stray,
        trusted_proxies=settings.trusted_proxies,
        send_each=native.sender(),
    )
    gateway.make_group = sockets.group
    sockets.eio.gate = Addresses(
        settings.address_connections,
        parse_rate(settings.rate_address_connections),
        settings.address_exempt,
        now_ms,
    )
    kernel.audience.on_fenced(gateway.on_fenced)
    kernel.signals.handle(END_SIGNAL, gateway.on_signal)
    kernel.signals.handle("*", gateway.on_signal)
    return GatewayPart(gateway, sockets, neighbours)


def limits(settings: configuration.Gateway) -> Limits:
    return Limits(
        message_bytes=settings.message_bytes,
        soft_buffer_bytes=settings.buffer_soft_bytes,
        hard_buffer_bytes=settings.buffer_hard_bytes,
        slow_seconds=settings.slow_seconds,
        connections_per_address=0,
        plain_connections_per_address=settings.address_connections,
    )


def origins(settings: configuration.Gateway) -> str | list[str] | None:
    """As python-socketio wants them: None is the server's own origin."""
    if "*" in settings.origins:
        return "*"
    return list(settings.origins) or None


def rates(settings: configuration.Gateway) -> Rates:
    names = Rates.__struct_fields__
    return Rates(**{name: parse_rate(getattr(settings, f"rate_{name}")) for name in names})
