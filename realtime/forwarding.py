"""Polling requests that reach the wrong node are answered by the right one.

A long-polling session lives in the memory of one node, and a load balancer without sticky sessions spreads
its requests over all of them. The session id begins with the name of its node; nodes publish where they
can be reached in Redis, under a lease; the node that was hit passes the request on and returns the answer.

An upgrade to WebSocket is not passed on: the node that was hit answers 400 before anything has begun, which
clients take as "not now" and go on polling. To carry the socket through a second node would cost both of them
every frame; who has many such clients lets them begin with WebSocket, which needs no session to find.

The internal hop is authenticated: a header carries the client's address, the time and an HMAC over both
and the session id, with a secret that the nodes share through Redis. So nobody outside can claim to be a
node, a request is passed on once at most, and a copied header is worth nothing after seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from realtime.engine.polling import while_connected
from state.rejections import Unavailable
from state.server import Server

HOP_HEADER = "X-Flylive-Hop"
HOP_SECONDS = 10  # a forwarded request is signed and read within one round trip
LEASE_SECONDS = 15
POLL_SECONDS = 30.0  # a poll hangs until there is something to say, at least a ping
PASSED_ON = ("Content-Type", "Origin", "Cookie", "User-Agent", "Accept-Encoding")
RETURNED = ("Content-Type", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Vary")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def node_of(sid: str) -> str | None:
    """The node a session id belongs to; None for ids we cannot have made."""
    node_id, dot, rest = sid.partition(".")
    return node_id if dot and rest and node_id else None


def sign_hop(secret: bytes, sid: str, address: str, now_ms: int) -> str:
    body = f"{now_ms}|{address}"
    return f"{body}|{_digest(secret, sid, body)}"


def read_hop(secret: bytes, sid: str, header: str, now_ms: int) -> str | None:
    """The client's address as another node of ours has seen it, or None when no node of ours wrote this."""
    body, _, digest = header.rpartition("|")
    stamp, _, address = body.partition("|")
    if not hmac.compare_digest(digest.encode(), _digest(secret, sid, body).encode()):
        return None
    if not stamp.isdigit() or abs(now_ms - int(stamp)) > HOP_SECONDS * 1000:
        return None
    return address


def _digest(secret: bytes, sid: str, body: str) -> str:
    return hmac.new(secret, f"{sid}|{body}".encode(), hashlib.sha256).hexdigest()


class Neighbours:
    """Where the other nodes are, and the way of a request to its owner."""

    def __init__(
        self, node_id: str, own_url: str, server: Server, prefix: str, now_ms: Callable[[], int]
    ) -> None:
        self.node_id = node_id
        self.own_url = own_url
        self._server = server
        self._prefix = prefix
        self._now_ms = now_ms
        self._secret = b""
        self._http: aiohttp.ClientSession | None = None

    async def announce(self) -> None:
        """Publish our address for the next lease; called at start and every few seconds."""
        if not self._secret:
            key = f"{self._prefix}:hop-secret"
            await self._server.execute("SET", key, secrets.token_hex(32), "NX")
            self._secret = bytes(await self._server.execute("GET", key))
        await self._server.execute("SET", self._key(self.node_id), self.own_url, "EX", LEASE_SECONDS)

    def _key(self, node_id: str) -> str:
        return f"{self._prefix}:{{n:{node_id}}}:url"

    async def withdraw(self) -> None:
        if self._http is not None:
            await self._http.close()
        with contextlib.suppress(Unavailable):
            await self._server.execute("DEL", self._key(self.node_id))

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turns away requests that claim to come from a node and do not."""
        header = request.headers.get(HOP_HEADER)
        if header is not None:
            sid = request.query.get("sid", "")
            if not self._secret or read_hop(self._secret, sid, header, self._now_ms()) is None:
                return web.Response(status=403, text="not a node of this cluster")
        return await handler(request)

    async def stray(self, request: web.Request, sid: str) -> web.Response | None:
        """Answer a poll or post of a session that is not ours; None: nobody knows it."""
        owner = node_of(sid)
        if owner is None or owner == self.node_id or HOP_HEADER in request.headers or not self._secret:
            return None
        try:
            url = await self._server.execute("GET", self._key(owner))
        except Unavailable:
            return web.Response(status=503, text="the node of this session cannot be found now")
        if url is None:
            return None
        return await self._pass_on(request, sid, url.decode())

    async def _pass_on(self, request: web.Request, sid: str, url: str) -> web.Response:
        """The owner's answer. A client that goes while it waits takes the inner request with it."""
        asking = asyncio.get_running_loop().create_task(self._ask(request, sid, url))
        try:
            return await while_connected(asking, request)
        except (aiohttp.ClientError, TimeoutError):
            return web.Response(status=502, text="the node of this session does not answer")

    async def _ask(self, request: web.Request, sid: str, url: str) -> web.Response:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        headers[HOP_HEADER] = sign_hop(self._secret, sid, request.remote or "", self._now_ms())
        body = await request.read() if request.can_read_body else None
        async with self._session().request(
            request.method, url + request.path_qs, headers=headers, data=body, allow_redirects=False
        ) as answer:
            back = {name: answer.headers[name] for name in RETURNED if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=back)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=POLL_SECONDS, connect=2)
            connector = aiohttp.TCPConnector(limit=0)
            self._http = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self._http
