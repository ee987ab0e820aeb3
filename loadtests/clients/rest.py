"""The REST calls a load test needs. A call is a value (`Request`); who sends it says how: `Rest` over one
pool of kept-alive connections on asyncio, its namesake in `greenlets.py` on gevent.
"""

from abc import ABC, abstractmethod
from typing import Any

import aiohttp
import msgspec

from loadtests.clients.conversation import Fields


class Request(msgspec.Struct, frozen=True):
    """One REST call. `path` is what is sent, `name` how it is counted (without ids)."""

    method: str
    path: str
    body: Fields | bytes | None = None
    bearer: str | None = None
    idempotency_key: str | None = None
    name: str | None = None

    @property
    def label(self) -> str:
        return self.name or f"{self.method} {self.path}"

    def headers(self) -> dict[str, str]:
        headers = {}
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer}"
        if self.idempotency_key is not None:
            headers["Idempotency-Key"] = self.idempotency_key
        if self.body is not None:
            is_text = isinstance(self.body, bytes)
            headers["Content-Type"] = "text/plain;charset=UTF-8" if is_text else "application/json"
        return headers

    def data(self) -> bytes | None:
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return msgspec.json.encode(self.body)


class Response(msgspec.Struct, frozen=True):
    status: int
    body: Any

    @classmethod
    def read(cls, status: int, content_type: str, raw: bytes) -> "Response":
        is_json = content_type.startswith("application/json")
        return cls(status, msgspec.json.decode(raw) if is_json else raw.decode(errors="replace"))

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The contract's error code, or the status when the body has none."""
        errors = self.body.get("errors") if isinstance(self.body, dict) else None
        return str(errors["code"]) if isinstance(errors, dict) and "code" in errors else f"HTTP_{self.status}"


# What a call raises when the server is not there or falls silent.
UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


class CallFailed(Exception):
    """A call that the preparation of a run cannot do without was refused."""


class RestCalls(ABC):
    """The REST side of one server, as the holder of a service key sees it."""

    def __init__(self, url: str, service_key: str, timeout_seconds: float = 10):
        self.url, self.service_key, self.timeout_seconds = url.rstrip("/"), service_key, timeout_seconds

    @abstractmethod
    async def send(self, request: Request, seconds: float | None = None) -> Response:
        """Ask, and wait this long instead of what is usual here."""

    async def service(
        self, method: str, path: str, body: Fields | None = None, key: str | None = None
    ) -> Response:
        return await self.send(Request(method, path, body, self.service_key, key))

    async def required(
        self, method: str, path: str, body: Fields | None = None, key: str | None = None
    ) -> Any:
        """A service call that must succeed. -> its `data`"""
        response = await self.service(method, path, body, key)
        if not response.succeeded:
            raise CallFailed(f"{method} {path}: {response.status} {response.body}")
        return response.body["data"]

    async def token(self, room_id: str, user_id: str, role: str = "member", **claims: Any) -> str:
        fields = {"user_id": user_id, "role": role, "ttl_s": 3600, **claims}
        return str((await self.required("POST", f"/v1/rooms/{room_id}/tokens", fields))["token"])

    async def snapshot(self, room_id: str) -> Fields:
        data = await self.required("GET", f"/v1/rooms/{room_id}/snapshot")
        return dict(data.get("snapshot", data))


class Rest(RestCalls):
    """REST over aiohttp."""

    def __init__(self, url: str, service_key: str, connections: int = 64, timeout_seconds: float = 10):
        super().__init__(url, service_key, timeout_seconds)
        self.connections = connections

    async def __aenter__(self) -> "Rest":
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self.connections))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def send(self, request: Request, seconds: float | None = None) -> Response:
        async with self.session.request(
            request.method,
            self.url + request.path,
            data=request.data(),
            headers=request.headers(),
            timeout=aiohttp.ClientTimeout(total=seconds or self.timeout_seconds),
        ) as response:
            return Response.read(response.status, response.content_type, await response.read())
