"""Refuses servers a node cannot work with, before anything is built on them: one line, and what to do."""

from __future__ import annotations

import asyncio

import redis
import redis.asyncio

from realtime.failures import CannotStart
from state.settings import Redis

CONNECT_SECONDS = 5.0
REDIS_MINIMUM = (7, 0)
POSTGRES_MINIMUM = 15
_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis+cluster": "redis", "rediss+cluster": "rediss"}


async def refuse_unusable_redis(settings: Redis) -> None:
    """Asks the server, or one of the cluster, who it is."""
    client = redis.asyncio.Redis.from_url(plain_url(settings.url), socket_timeout=CONNECT_SECONDS)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            server = await client.info("server")
    except (OSError, TimeoutError, ValueError, redis.RedisError) as error:
        raise CannotStart(f"Valkey cannot be reached at redis.url: {error or 'no answer'}") from error
    finally:
        await client.aclose()
    version = str(server.get("valkey_version") or server["redis_version"])
    if not is_new_enough(version):
        wanted = ".".join(map(str, REDIS_MINIMUM))
        raise CannotStart(f"the server at redis.url has version {version}, {wanted} or newer is needed")


def is_new_enough(version: str) -> bool:
    return tuple(map(int, version.split(".")[:2])) >= REDIS_MINIMUM


def plain_url(url: str) -> str:
    """The URL in the words of the client library, which knows neither clusters nor Valkey by scheme."""
    scheme, separator, rest = url.partition("://")
    return f"{_SCHEMES.get(scheme, scheme)}{separator}{rest}"


def refuse_old_postgres(major: int) -> None:
    if major < POSTGRES_MINIMUM:
        raise CannotStart(
            f"the server at database.url has version {major}, {POSTGRES_MINIMUM} or newer is needed"
        )
