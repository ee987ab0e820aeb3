"""A route and a call of it. What a route takes and gives stands in its declaration, and is read from there by
the front that serves it and by the document that describes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from api.rest.access import Anonymous, Caller, Scope
from api.rest.replies import Missing, Reply
from state.rejections import Code, Rejection
from state.service_keys import Service
from state.tokens import Claims

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Audit = Literal["money", "moderation"]
KEY_LENGTH_MAX: Final = 128
IdempotencyKey = Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH_MAX, pattern="^[ -~]+$")]


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A query without parameters."""


class NoBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An object without fields; no body at all is as good."""


class Call(Struct, frozen=True):
    """One request, checked."""

    request_id: str
    caller: Caller
    path: dict[str, str]
    query: Any
    body: Any
    key: str
    if_none_match: str | None
    now_ms: int

    @property
    def service(self) -> Service | None:
        """The backend that calls, if it is one."""
        return self.caller if isinstance(self.caller, Service) else None

    @property
    def claims(self) -> Claims | None:
        """The token of the user that calls, if it is one."""
        return self.caller if isinstance(self.caller, Claims) else None

    @property
    def caller_name(self) -> str:
        """The caller as logs name it."""
        match self.caller:
            case Service():
                return f"service:{self.caller.name}"
            case Claims():
                return f"user:{self.caller.user_id}"
            case Anonymous():
                return f"address:{self.caller.address}"


Handler = Callable[[Call], Awaitable[Reply | Rejection | Missing]]


class Route(Struct, frozen=True, kw_only=True):
    """What a path and a method do, and for whom."""

    method: Method
    path: str
    operation: str
    summary: str
    handler: Handler
    # The scope a service key needs; None: not for backends.
    scope: Scope | None = None
    # Whether users (with a room token) may call, and whether anybody may.
    users: bool = False
    anybody: bool = False
    # Types of the path's names; what is not here is an identifier.
    names: dict[str, Any] = {}
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    # Data by status of success.
    gives: dict[int, Any]
    # What may be refused beyond what every route may.
    refuses: tuple[Code, ...] = ()
    # Whether the path may name something that does not exist and has no code of its own.
    may_miss: bool = False
    needs_key: bool = False
    audit: Audit | None = None

    def refusal(self, caller: Caller) -> Rejection | None:
        """Why this caller may not call this route."""
        if self.anybody:
            return None
        match caller:
            case Anonymous():
                return Rejection(Code.AUTH_REQUIRED, "a service key or a room token is needed")
            case Claims():
                return None if self.users else Rejection(Code.FORBIDDEN, "this is for backends")
            case Service():
                if self.scope is None:
                    return Rejection(Code.FORBIDDEN, "this is for users")
                if not caller.may(self.scope):
                    return Rejection(Code.FORBIDDEN, f"the key lacks the scope {self.scope}")
                return None
