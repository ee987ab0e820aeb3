"""How outcomes look in HTTP: the one place that knows the envelope."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from state.rejections import Code, Rejection

_JSON: Final = "application/json"
_encode = msgspec.json.Encoder().encode


class Reply(Struct, frozen=True):
    """A request was carried out."""

    data: Any = None
    status: int = 200
    message: str = "ok"
    headers: dict[str, str] | None = None


class Missing(Struct, frozen=True):
    """The path names something that does not exist and that no code stands for."""

    message: str


class Errors(Struct, frozen=True, omit_defaults=True):
    """Why a request was refused."""

    code: str
    fields: list[str] | None = None
    details: dict[str, Any] | None = None


class Failure(Struct, frozen=True):
    """The envelope of a refusal."""

    success: bool
    message: str
    errors: Errors
    timestamp: int


def accepted(reply: Reply, now_ms: int) -> web.Response:
    """The envelope of a success. 304 has no body."""
    if reply.status == 304:
        return web.Response(status=304, headers=reply.headers)
    body = {"success": True, "message": reply.message, "data": reply.data, "timestamp": now_ms}
    return web.Response(body=_encode(body), status=reply.status, content_type=_JSON, headers=reply.headers)


def refused(rejection: Rejection, now_ms: int, status: int | None = None) -> web.Response:
    """The envelope of a refusal, with the status of its code unless the protocol has a better one."""
    details = dict(rejection.details or {})
    fields = details.pop("fields", None)
    body = Failure(
        success=False,
        message=rejection.message or rejection.code.sentence,
        errors=Errors(str(rejection.code), fields, details or None),
        timestamp=now_ms,
    )
    headers = {}
    if rejection.retry_after_ms is not None:
        headers["Retry-After"] = str(-(-rejection.retry_after_ms // 1000))
    elif rejection.code is Code.UNAVAILABLE:
        headers["Retry-After"] = "1"
    if rejection.code is Code.AUTH_REQUIRED:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        body=_encode(body), status=status or rejection.code.http_status, content_type=_JSON, headers=headers
    )
