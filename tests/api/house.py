"""A node's money and rooms on real servers, in the test's own process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from api.app import Api, Ports, Source, build_api
from api.catalog import GiftFields
from api.ledger.database import pool_options
from api.ledger.verification import Verification
from state import settings as configuration
from state.events import GiftSent
from state.events import Settings as RoomSettings
from state.identity import Profile
from state.kernel import Kernel, build_kernel
from state.room import Room
from state.tokens import Claims, Key, KeyRing, sign

SERVICE_KEY = "service-key-of-the-tests"
READ_KEY = "key-that-may-only-read-wallets"
SECRET = "a-secret-of-more-than-32-characters!"
KEYRING = KeyRing(keys={"k1": Key("k1", "HS256", SECRET, SECRET)}, active="k1")
ROOM = "room"
OWNER = "owner"
WAIT_SECONDS = 60.0

SETTINGS = configuration.Settings(
    auth=configuration.Auth(
        service_key=SERVICE_KEY,
        service_keys=(configuration.ServiceKey("reader", READ_KEY, ("wallets",)),),
    ),
    api=configuration.Api(money_timeout_ms=5_000, user_requests_per_second=1_000.0),
)


class House:
    """A node without its sockets."""

    def __init__(self, kernel: Kernel, api: Api, pool: Any, client: Any, source: Source) -> None:
        self.kernel = kernel
        self.api = api
        self.pool = pool
        self.client = client
        self.source = source

    async def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, bearer: str = SERVICE_KEY
    ) -> tuple[int, Any]:
        """A call as a backend (or with another bearer); the status and the envelope."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        async with self.client.request(method, f"/v1{path}", json=body, headers=headers) as response:
            raw = await response.read()
            return response.status, msgspec.json.decode(raw) if raw else None

    async def data(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The data of a call that must succeed."""
        status, envelope = await self.request(method, path, body, **options)
        assert status < 300, envelope
        return envelope["data"]

    async def code(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str]:
        """The status and code of a call that must be refused."""
        status, envelope = await self.request(method, path, body, **options)
        assert status >= 400, envelope
        assert envelope["success"] is False
        return status, envelope["errors"]["code"]

    async def open_room(self, room_id: str = ROOM, owner_id: str = OWNER) -> Room:
        room = await self.kernel.rooms.create(room_id, owner_id, RoomSettings(name="Room"))
        assert isinstance(room, Room)
        return room

    async def enter(self, user_id: str, room_id: str = ROOM, vip: int = 0) -> None:
        profile = Profile(user_id, name=user_id.title(), vip=vip)
        await self.kernel.audience.join(room_id, f"{self.kernel.node}.{user_id}", profile, capacity=1_000)

    async def fill(self, user_id: str, amount: int) -> None:
        reference = f"fill-{user_id}-{time.monotonic_ns()}"
        await self.api.books.credit(
            user_id, reference, amount=amount, currency="coins", reason="test", reference=reference
        )

    async def sell(self, gift_id: str = "rose", **fields: Any) -> None:
        values: dict[str, Any] = {"name": gift_id.title(), "price": 100, "combo": True, **fields}
        await self.api.catalog.put(gift_id, GiftFields(**values))

    def token(self, user_id: str, room_id: str = ROOM, **fields: Any) -> str:
        now = int(time.time())
        values: dict[str, Any] = {"role": "member", "jti": "j", "issued_at": now, "expires_at": now + 600}
        return sign(Claims(user_id=user_id, room_id=room_id, **(values | fields)), KEYRING)

    async def announced(self, room_id: str = ROOM) -> list[GiftSent]:
        """All gifts that the room was told of, in order."""
        room = await self.kernel.rooms.load(room_id)
        assert room is not None
        events = await self.kernel.rooms.events_since(room_id, room.epoch, 0)
        assert events is not None
        return [recorded.event for recorded in events if isinstance(recorded.event, GiftSent)]

    async def tell_all(self) -> None:
        """Everything committed is told."""
        while await self.api.relay.tell_some():
            pass

    async def faults(self) -> list[str]:
        """What the check of the books finds."""
        checked = Verification(self.api.database, self.api.boards, now_ms=self.source.now_ms)
        return await checked.faults()


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits until an awaitable condition is true and returns its value."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        value = await condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def house(
    redis_url: str,
    database_url: str,
    *,
    settings: configuration.Settings = SETTINGS,
    source: Source | None = None,
    ports: Callable[[Ports], Ports] = lambda ports: ports,
    pool: Any = None,
) -> AsyncIterator[House]:
    """A house on these servers. The relay is not started: tests tell when they want to."""
    source = source or Source()
    kernel = build_kernel(redis_url, settings)
    await kernel.open()
    own_pool = pool or await asyncpg.create_pool(
        database_url, **pool_options(size=10, timeout_ms=settings.database.timeout_ms)
    )
    api = build_api(
        settings=settings.api,
        auth=settings.auth,
        keyring=KEYRING,
        pool=own_pool,
        ports=ports(Ports(kernel.rooms, kernel.audience, kernel.directory, kernel.inbox, kernel.server)),
        node_id=kernel.node,
        prefix=settings.redis.prefix,
        url="http://localhost",
        version="test",
        address_of=lambda request: request.headers.get("X-Forwarded-For", request.remote or ""),
        source=source,
    )
    application = web.Application()
    application.add_subapp(api.prefix, api.rest)
    async with TestClient(TestServer(application, auto_decompress=False)) as client:
        yield House(kernel, api, own_pool, client, source)
    await api.relay.stop()
    await kernel.close()
    own_pool.terminate()
