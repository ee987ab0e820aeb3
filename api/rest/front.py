"""From HTTP to a handler and back: the same steps for every route.

Request id, caller, rate, then path, query, headers and body against their types, then the handler under a
deadline. Whatever goes wrong leaves as the envelope with a code; a defect leaves as INTERNAL with its request
id, and its traceback in the log.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, get_args

import msgspec
import structlog
from aiohttp import hdrs, web
from prometheus_client import Counter, Histogram

from api.ledger.database import Database
from api.rest.access import Anonymous, Caller, Doorkeeper
from api.rest.calls import KEY_LENGTH_MAX, Call, NoBody, Route
from api.rest.rates import Rate, Rates
from api.rest.replies import Missing, Reply, accepted, refused
from state.ids import is_id
from state.rejections import Code, Rejection, Unavailable
from state.service_keys import Service

BODY_BYTES_MAX: Final = 64 * 1024
REQUEST_SECONDS: Final = 5.0
_SENTENCE_PATH: Final = re.compile(r"`\$\.?([^`]*)`$")
_SENTENCE_FIELD: Final = re.compile(r"field `([^`]+)`")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_requests = Counter("flylive_rest_requests", "REST requests.", ["operation", "status"])
_seconds = Histogram(
    "flylive_rest_seconds",
    "Time of REST requests.",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
_log = structlog.get_logger("rest")
_audit_log = structlog.get_logger("audit")


class Limits(msgspec.Struct, frozen=True):
    """How often the kinds of callers may call."""

    service: Rate
    user: Rate
    address: Rate


class Front:
    """Serves routes."""

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        database: Database,
        limits: Limits,
        address_of: Callable[[web.Request], str],
        now_ms: Callable[[], int],
        new_request_id: Callable[[], str],
    ) -> None:
        self._doorkeeper = doorkeeper
        self._database = database
        self._limits = limits
        self._address_of = address_of
        self._rates = Rates()
        self._now_ms = now_ms
        self._new_request_id = new_request_id
        self._logged_ms = 0
        self._unlogged = 0

    def application(self, routes: Sequence[Route], prefix: str) -> web.Application:
        """The routes below a prefix as an application of their own."""
        application = web.Application(middlewares=[self._unknown])
        for route in routes:
            assert route.path.startswith(prefix)
            path = route.path.removeprefix(prefix)
            application.router.add_route(route.method, path, self.handler(route))
        return application

    @web.middleware
    async def _unknown(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Paths and methods that no route has get the envelope too."""
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as error:
            refusal = Rejection(Code.PAYLOAD_INVALID, "this path does not know the method")
            response = refused(refusal, self._now_ms(), 405)
            response.headers[hdrs.ALLOW] = ",".join(sorted(error.allowed_methods))
        except web.HTTPNotFound:
            response = refused(Rejection(Code.PAYLOAD_INVALID, "there is no such path"), self._now_ms(), 404)
        return response

    def handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        """What aiohttp calls for a route."""
        decoder = msgspec.json.Decoder(route.body) if route.body is not None else None
        seconds = _seconds.labels(route.operation)

        async def handle(request: web.Request) -> web.Response:
            start = time.perf_counter()
            given = request.headers.get("X-Request-Id", "")
            request_id = given if _REQUEST_ID.fullmatch(given) else self._new_request_id()
            response = await self._answered(route, decoder, request, request_id)
            response.headers["X-Request-Id"] = request_id
            seconds.observe(time.perf_counter() - start)
            _requests.labels(route.operation, response.status).inc()
            return response

        return handle

    async def _answered(
        self, route: Route, decoder: Any, request: web.Request, request_id: str
    ) -> web.Response:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                call = await self._call(route, decoder, request, request_id)
                if isinstance(call, web.Response):
                    return call
                outcome = await route.handler(call)
                if route.audit is not None:
                    await self._record(route, call, outcome)
        except (Unavailable, TimeoutError) as error:
            self._unavailable(route, request_id, error)
            return refused(Rejection(Code.UNAVAILABLE, str(error)), self._now_ms())
        except web.HTTPException:
            raise
        except Exception:
            _log.exception("a request failed", operation=route.operation, request_id=request_id)
            return refused(Rejection(Code.INTERNAL, f"see request {request_id}"), self._now_ms())
        if isinstance(outcome, Rejection):
            return refused(outcome, self._now_ms())
        if isinstance(outcome, Missing):
            return refused(Rejection(Code.PAYLOAD_INVALID, outcome.message), self._now_ms(), 404)
        return accepted(outcome, self._now_ms())

    def _unavailable(self, route: Route, request_id: str, error: Exception) -> None:
        """An outage makes thousands of refusals; one line a second says so."""
        self._unlogged += 1
        now_ms = self._now_ms()
        if now_ms - self._logged_ms >= 1_000:
            _log.warning(
                "unavailable",
                operation=route.operation,
                request_id=request_id,
                reason=str(error),
                times=self._unlogged,
            )
            self._logged_ms, self._unlogged = now_ms, 0

    async def _call(
        self, route: Route, decoder: Any, request: web.Request, request_id: str
    ) -> Call | web.Response:
        """The request against the route's types, or why it is refused."""
        now_ms = self._now_ms()
        caller = self._caller(route, request, now_ms)
        if isinstance(caller, Rejection):
            return refused(caller, now_ms)
        path = dict(request.match_info)
        wrong = [name for name, value in path.items() if not _is_name(value, route.names.get(name))]
        if wrong:
            return refused(_invalid("a name in the path is malformed", wrong), now_ms)
        key = request.headers.get("Idempotency-Key", "")
        if route.needs_key and not _is_key(key):
            return refused(_invalid("the header Idempotency-Key is needed", ["Idempotency-Key"]), now_ms)
        query = _query(route, request)
        if isinstance(query, Rejection):
            return refused(query, now_ms)
        body = None
        if decoder is not None:
            body = await _body(decoder, request)
            if isinstance(body, Rejection):
                return refused(body, now_ms, 413 if body is _TOO_LARGE else None)
        return Call(
            request_id, caller, path, query, body, key, request.headers.get(hdrs.IF_NONE_MATCH), now_ms
        )

    def _caller(self, route: Route, request: web.Request, now_ms: int) -> Caller | Rejection:
        """Who calls, if it may and not too often. Guessing keys costs the allowance of the address."""
        address = self._address_of(request)
        caller = self._doorkeeper.caller(request.headers.get(hdrs.AUTHORIZATION), address, now_ms)
        rate: Rate
        match caller:
            case Service():
                who, rate = caller.name, self._limits.service
            case Anonymous() | Rejection():
                who, rate = f"@{address}", self._limits.address
            case _:
                who, rate = f"/{caller.user_id}", self._limits.user
        wait_seconds = self._rates.wait_seconds(who, rate, now_ms / 1000)
        if wait_seconds:
            return Rejection(
                Code.RATE_LIMITED, "too many requests", retry_after_ms=max(1, int(wait_seconds * 1000))
            )
        if isinstance(caller, Rejection):
            return caller
        return route.refusal(caller) or caller

    async def _record(self, route: Route, call: Call, outcome: Reply | Rejection | Missing) -> None:
        """The audit of a call: a row for good, and a line for whoever watches."""
        target = "/".join(call.path.values())
        result = "missing" if isinstance(outcome, Missing) else "done"
        if isinstance(outcome, Rejection):
            result = str(outcome.code)
        _audit_log.info(
            route.operation,
            kind=route.audit,
            request_id=call.request_id,
            caller=call.caller_name,
            target=target,
            outcome=result,
        )
        entry = (call.now_ms, call.request_id, call.caller_name, route.operation, target, result)
        try:
            await self._database.row("audit", *entry)
        except Unavailable as error:
            _audit_log.error("audit not kept", request_id=call.request_id, reason=str(error))


_TOO_LARGE: Final = Rejection(Code.PAYLOAD_INVALID, "the body is too large")


def _is_name(value: str, kind: Any) -> bool:
    if kind is None:
        return is_id(value)
    return value in get_args(kind)


def _is_key(key: str) -> bool:
    return 1 <= len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()


def _query(route: Route, request: web.Request) -> Any:
    pairs = request.query
    if len(set(pairs)) != len(pairs):
        return _invalid("a parameter is given twice", [])
    try:
        return msgspec.convert(dict(pairs), route.query, strict=False)
    except (msgspec.ValidationError, UnicodeError) as error:
        return invalid(error)


async def _body(decoder: Any, request: web.Request) -> Any:
    if (request.content_length or 0) > BODY_BYTES_MAX:
        return _TOO_LARGE
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        return _invalid("a body is not compressed", ["Content-Encoding"])
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return _TOO_LARGE
    except web.RequestPayloadError as error:
        return _invalid(str(error), [])
    if len(raw) > BODY_BYTES_MAX:
        return _TOO_LARGE
    if b"\\u0000" in raw:
        return _invalid("NUL is no character of a text", [])
    if not raw and decoder.type is NoBody:
        return NoBody()
    if request.content_type != "application/json":
        return _invalid("the body is JSON", ["Content-Type"])
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return invalid(error)


def invalid(error: Exception) -> Rejection:
    """A validation error as a refusal that names the field."""
    sentence = str(error)
    path, field = _SENTENCE_PATH.search(sentence), _SENTENCE_FIELD.search(sentence)
    parts = [part for part in (path.group(1) if path else "", field.group(1) if field else "") if part]
    return _invalid(sentence, [".".join(parts)] if parts else [])


def _invalid(message: str, fields: list[str]) -> Rejection:
    return Rejection(Code.PAYLOAD_INVALID, message, details={"fields": fields})
