"""What the operator's console sees of every node: a few figures, told to Redis now and then by each.

The console on any node shows all nodes. A node that stopped telling is gone from the list after a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import msgspec
from aiohttp import web

from realtime.console.answers import Refused, answered, bearer_of
from realtime.console.figures import Figures
from realtime.console.links import LINK_SECONDS, Links, Session
from realtime.console.recordings import recording_route
from state.keys import Keys
from state.rejections import Unavailable
from state.server import Server
from state.service_keys import Service, ServiceKeys

TOLD_EVERY_SECONDS = 2.0
KEPT_MS = 10_000
NODES_MAX = 500


class NodeFigures(msgspec.Struct, frozen=True):
    node: str
    address: str
    at: int
    draining: bool
    figures: dict[str, float]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page hands in for a session."""

    secret: str


class Place(msgspec.Struct, frozen=True):
    """This node, and where it is reached: by the other nodes, and by people."""

    node: str
    address: str
    url: str


class Console:
    """A part of the node: tells its figures, and answers who asks for all."""

    name = "console"

    def __init__(self, server: Server, keys: Keys, place: Place, service_keys: ServiceKeys) -> None:
        self._server, self._keys, self._place = server, keys, place
        self._service_keys = service_keys
        self._links = Links(server, keys)
        self._figures = Figures()
        self._draining = False
        self._task: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/console/nodes", answered(self._nodes)),
            web.post("/v1/console/links", answered(self._link)),
            web.post("/v1/console/sessions", answered(self._session)),
            recording_route(self._place.address, self._service_keys.door("tap", _now)),
        ]

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._tell_forever())

    async def drain(self, seconds: float) -> None:
        del seconds
        self._draining = True

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def check(self) -> str | None:
        return None

    async def _tell_forever(self) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                await self._tell()
            await asyncio.sleep(TOLD_EVERY_SECONDS)

    async def _tell(self) -> None:
        now = _now()
        told = NodeFigures(self._place.node, self._place.address, now, self._draining, self._figures.read())
        await self._server.execute(
            "SET", self._keys.console(self._place.node), msgspec.json.encode(told), "PX", KEPT_MS
        )
        await self._server.execute("ZADD", self._keys.console_nodes, now, self._place.node)
        await self._server.execute("ZREMRANGEBYSCORE", self._keys.console_nodes, "-inf", now - KEPT_MS)

    async def nodes(self) -> list[NodeFigures]:
        names = await self._server.execute("ZRANGE", self._keys.console_nodes, 0, NODES_MAX - 1)
        told = [await self._server.execute("GET", self._keys.console(bytes(name).decode())) for name in names]
        return [msgspec.json.decode(one, type=NodeFigures) for one in told if one is not None]

    def _caller(self, request: web.Request) -> Service:
        service = self._service_keys.holder(bearer_of(request), _now())
        if service is None or not service.may("console"):
            raise Refused(401, "AUTH_REQUIRED", "A link or a key with the scope `console` is needed.")
        return service

    async def _nodes(self, request: web.Request) -> dict[str, Any]:
        self._caller(request)
        return {"nodes": await self.nodes()}

    async def _link(self, request: web.Request) -> dict[str, Any]:
        """A pass begets no link: it would never end."""
        if self._caller(request).has_pass:
            raise Refused(403, "FORBIDDEN", "A link is made with a service key.")
        secret = await self._links.make(bearer_of(request), _now())
        return {"link": f"{self._place.url}/console#{secret}", "seconds": LINK_SECONDS}

    async def _session(self, request: web.Request) -> Session:
        try:
            entry = msgspec.json.decode(await request.read(), type=Entry)
        except msgspec.DecodeError as error:
            raise Refused(422, "PAYLOAD_INVALID", str(error)) from error
        return await self._links.redeem(entry.secret)


def _now() -> int:
    return time.time_ns() // 1_000_000
