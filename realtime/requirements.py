"""Refuses servers a node cannot work with, before anything is built on them: one line, and what to do."""

from __future__ import annotations

import asyncio

from realtime.failures import CannotStart
from state.redis_connection import address_of, connect, pack
from state.rejections import Unavailable
from state.server import ServerError
from state.settings import Redis

CONNECT_SECONDS = 5.0
REDIS_MINIMUM = (7, 0)
POSTGRES_MINIMUM = 15


async def refuse_unusable_redis(settings: Redis) -> None:
    """Asks the server, or one of the cluster, who it is."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            version = await _version(settings.url)
    except (OSError, TimeoutError, ValueError, ServerError, Unavailable) as error:
        raise CannotStart(f"Valkey cannot be reached at redis.url: {error or 'no answer'}") from error
    if not is_new_enough(version):
        wanted = ".".join(map(str, REDIS_MINIMUM))
        raise CannotStart(f"the server at redis.url has version {version}, {wanted} or newer is needed")


async def _version(url: str) -> str:
    connection = await connect(address_of(url), lambda _message: None, lambda _error: None)
    try:
        text = bytes(await connection.call(pack(("INFO", "server")))).decode()
    finally:
        connection.abort()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return fields.get("valkey_version") or fields["redis_version"]


def is_new_enough(version: str) -> bool:
    return tuple(map(int, version.split(".")[:2])) >= REDIS_MINIMUM


def refuse_old_postgres(major: int) -> None:
    if major < POSTGRES_MINIMUM:
        raise CannotStart(
            f"the server at database.url has version {major}, {POSTGRES_MINIMUM} or newer is needed"
        )
