"""WHIP (RFC 9725) and WHEP: one offer over HTTP, with the room token as bearer.

A resource is a connection like any other to the worker; DELETE of its location ends it, on any node.
Trickle is not needed: the server is ICE-lite and learns addresses from checks.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sfu.sdp import SDP_BYTES
from sfu.signalling import RtcService
from state.identity import Actor
from state.ids import is_id
from state.media_commands import RtcOffer
from state.ports import Caller, Done
from state.rejections import Code, Rejection, Unavailable
from state.tokens import KeyRing, verify

SDP_TYPE = "application/sdp"
RECEIVING = {"whip": ("a=sendonly", "a=sendrecv"), "whep": ("a=recvonly", "a=sendrecv")}

MayEnter = Callable[[str, Actor, str | None], Awaitable[Rejection | None]]
"""Whether a user with a good token is let into the room now: (room, user, password)."""


class WhipResources:
    """The handlers of one node."""

    def __init__(self, node_id: str, service: RtcService, keyring: KeyRing, may_enter: MayEnter) -> None:
        self._node_id, self._service = node_id, service
        self._keyring, self._may_enter = keyring, may_enter

    def routes(self) -> list[web.RouteDef]:
        found = []
        for kind in ("whip", "whep"):
            base = f"/v1/rooms/{{room_id}}/{kind}"
            found += [
                web.post(base, self._handler(kind)),
                web.delete(f"{base}/{{resource}}", self.delete),
                web.options(base, self.options),
                web.options(f"{base}/{{resource}}", self.options),
            ]
        return found

    def _handler(self, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def post(request: web.Request) -> web.StreamResponse:
            return await self.post(request, kind)

        return post

    async def post(self, request: web.Request, kind: str) -> web.StreamResponse:
        if request.content_type != SDP_TYPE:
            return refused(Rejection(Code.PAYLOAD_INVALID, f"the body must be {SDP_TYPE}"), status=415)
        actor = await self._authenticated(request)
        if isinstance(actor, Rejection):
            return refused(actor)
        if (request.content_length or 0) > SDP_BYTES:
            return refused(Rejection(Code.PAYLOAD_INVALID, "the offer is too long"), status=413)
        offer = await request.text()
        if not any(line in offer for line in RECEIVING[kind]):
            return refused(Rejection(Code.RTC_UNSUPPORTED, f"no section of a direction for {kind.upper()}"))
        resource = f"{self._node_id}.{kind}-{secrets.token_hex(12)}"
        caller = Caller(resource, actor, request.match_info["room_id"])
        try:
            answer = await self._service.perform(caller, RtcOffer(offer))
        except Unavailable as failure:
            return refused(Rejection(Code.UNAVAILABLE, str(failure)))
        if not isinstance(answer, Done):
            return refused(answer)
        location = f"{request.path.rstrip('/')}/{resource}"
        headers = {"Location": location, "ETag": f'"{resource}"', **_cross_origin()}
        return web.Response(status=201, text=answer.data["sdp"], content_type=SDP_TYPE, headers=headers)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        actor = await self._authenticated(request, entering=False)
        if isinstance(actor, Rejection):
            return refused(actor)
        caller = Caller(request.match_info["resource"], actor, request.match_info["room_id"])
        try:
            await self._service.hang_up(caller)
        except Unavailable as failure:
            return refused(Rejection(Code.UNAVAILABLE, str(failure)))
        return web.Response(status=200, headers=_cross_origin())

    async def options(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=204, headers={"Accept-Post": SDP_TYPE, **_cross_origin()})

    async def _authenticated(self, request: web.Request, entering: bool = True) -> Actor | Rejection:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Rejection(Code.AUTH_REQUIRED, "a room token is needed as bearer")
        room_id = request.match_info["room_id"]
        if not is_id(room_id):
            return Rejection(Code.ROOM_NOT_FOUND)
        claims = verify(token.strip(), self._keyring, time.time_ns() // 1_000_000, room_id=room_id)
        if isinstance(claims, Rejection):
            return claims
        actor = claims.actor(present=True)
        if not entering:
            return actor
        try:
            return await self._may_enter(room_id, actor, request.query.get("password")) or actor
        except Unavailable as failure:
            return Rejection(Code.UNAVAILABLE, str(failure))


def _cross_origin() -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, DELETE, OPTIONS",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Expose-Headers": "Location, ETag",
    }


def refused(rejection: Rejection, status: int | None = None) -> web.Response:
    """In the shape of all REST refusals."""
    body: dict[str, Any] = {
        "success": False,
        "message": rejection.message or rejection.code.value,
        "errors": {"code": rejection.code.value},
        "timestamp": time.time_ns() // 1_000_000,
    }
    return web.json_response(body, status=status or rejection.code.http_status, headers=_cross_origin())
