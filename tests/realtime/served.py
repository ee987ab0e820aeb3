"""Gateways of a hub, served on free ports in this process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from realtime.assembly import GatewayPart, build_gateway
from realtime.tap import Tap
from state.ports import CommandService
from state.settings import Gateway as GatewaySettings
from state.tokens import Claims, Key, KeyRing, sign
from tests.realtime.hub import Hub, HubNode

SECRET = "a-secret-for-tests-of-thirty-two-bytes"
KEYRING = KeyRing({"t": Key("t", "HS256", SECRET, SECRET)}, "t")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def token(user_id: str, room_id: str = "lounge", *, seconds: float = 3600, **claims: Any) -> str:
    issued = time.time()
    claims = {"role": "member", "jti": "j", **claims}
    return sign(
        Claims(
            user_id=user_id,
            room_id=room_id,
            issued_at=int(issued),
            expires_at=int(issued + seconds),
            **claims,
        ),
        KEYRING,
    )


class Served:
    """One gateway behind HTTP."""

    def __init__(self, part: GatewayPart, hub: Hub, node: HubNode, url: str) -> None:
        self.part, self.hub, self.node, self.url = part, hub, node, url

    @property
    def gateway(self) -> Any:
        return self.part.gateway


@contextlib.asynccontextmanager
async def served(
    hub: Hub,
    node_id: str = "n1",
    *,
    services: dict[str, CommandService] | None = None,
    clock: Callable[[], int] = now_ms,
    **settings: Any,
) -> AsyncIterator[Served]:
    node = hub.node(node_id)
    application = web.Application()
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    own: list[str] = []
    part = build_gateway(
        node_id=node_id,
        own_url="http://unknown.invalid",
        settings=GatewaySettings(**settings),
        prefix="t",
        keyring=KEYRING,
        kernel=node.kernel(),
        services=services or {},
        tap=Tap(),
        now_ms=clock,
    )
    part.attach(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    own.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
    part.neighbours.own_url = own[0]
    await part.start()
    try:
        yield Served(part, hub, node, own[0])
    finally:
        await part.stop()
        await runner.cleanup()
