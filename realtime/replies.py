"""Outcome -> wire: the one place where an answer of the product becomes what a client reads."""

from __future__ import annotations

from typing import Any

from realtime.socketio.interface import Refuse
from state.rejections import Code, Rejection

Reply = dict[str, Any]


def accepted(data: Any) -> Reply:
    return {"ok": True, "data": data}


def refused(rejection: Rejection) -> Reply:
    return {"ok": False, "error": error(rejection)}


def error(rejection: Rejection) -> Reply:
    """`{code, message, retry, retry_after_ms?, details?}`"""
    code = rejection.code
    body: Reply = {"code": code.value, "message": rejection.message or code.sentence, "retry": code.retry}
    if rejection.retry_after_ms is not None:
        body["retry_after_ms"] = rejection.retry_after_ms
    if rejection.details is not None:
        body["details"] = rejection.details
    return body


def turned_away(rejection: Rejection) -> Refuse:
    """A refused connection: the client sees `connect_error` with the same body as its `data`."""
    body = error(rejection)
    return Refuse(body["message"], body)


def unavailable() -> Rejection:
    """For a server behind us that did not answer; what exactly failed is for the log, not the client."""
    return Rejection(Code.UNAVAILABLE, retry_after_ms=1000)


def invalid(message: str) -> Rejection:
    return Rejection(Code.PAYLOAD_INVALID, message)
