"""Running servers for a command beside the node: configured ones, those of a running node, or its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from realtime.config import data_directory
from realtime.embedded.servers import EmbeddedServers, Urls
from realtime.keys import with_keys
from state.settings import Settings


@contextmanager
def reachable(settings: Settings) -> Iterator[Settings]:
    """The settings with keys, and with the URLs of servers that run at least as long as the block."""
    data = data_directory(settings)
    settings = with_keys(settings, data).settings
    if settings.redis.url and settings.database.url:
        yield settings
        return
    running = EmbeddedServers.running(data)
    if running is not None:
        yield with_urls(settings, running)
        return
    with embedded_servers(settings) as urls:
        yield with_urls(settings, urls)


def embedded_servers(settings: Settings) -> EmbeddedServers:
    """The servers for which no URL is configured."""
    return EmbeddedServers(
        data_directory(settings), redis=not settings.redis.url, database=not settings.database.url
    )


def with_urls(settings: Settings, urls: Urls) -> Settings:
    """Fills in the URLs that the configuration leaves open."""
    replace = msgspec.structs.replace
    return replace(
        settings,
        redis=replace(settings.redis, url=settings.redis.url or urls.redis_url or ""),
        database=replace(settings.database, url=settings.database.url or urls.database_url or ""),
    )
