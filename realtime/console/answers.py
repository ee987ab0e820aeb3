"""The envelope of the console's own routes, and whom they let in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from realtime.web.answers import fresh
from state.rejections import Unavailable

Allowed = Callable[[str], bool]
"""Says of a bearer whether it may do what a route is for."""


class Refused(Exception):
    """Ends a request with a status, a code and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def bearer_of(request: web.Request) -> str:
    kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
    return bearer.strip() if kind.lower() == "bearer" else ""


def answered(handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
    """The route of a handler that gives data or raises."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return _envelope(200, {"success": True, "message": "", "data": await handler(request)})
        except Refused as refused:
            return _failure(refused.status, refused.code, str(refused))
        except Unavailable as error:
            return _failure(503, "UNAVAILABLE", str(error))

    return handle


def _failure(status: int, code: str, message: str) -> web.Response:
    return _envelope(status, {"success": False, "message": message, "errors": {"code": code}})


def _envelope(status: int, body: dict[str, Any]) -> web.Response:
    encoded = msgspec.json.encode(body | {"timestamp": int(time.time() * 1000)})
    answer = fresh(encoded, "application/json")
    answer.set_status(status)
    return answer
