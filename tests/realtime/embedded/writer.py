"""A server that writes and says so, to be killed: prints one line per acknowledged row and key.

Arguments: the data directory and the number to start from.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import asyncpg
import redis

from realtime.embedded.servers import EmbeddedServers, Urls


async def write(urls: Urls, number: int) -> None:
    database = await asyncpg.connect(urls.database_url)
    await database.execute("CREATE TABLE IF NOT EXISTS written (number bigint PRIMARY KEY)")
    valkey = redis.Redis.from_url(str(urls.redis_url))
    while True:
        number += 1
        await database.execute("INSERT INTO written VALUES ($1)", number)
        valkey.set(f"written:{number}", number)
        print(number, time.time(), flush=True)


if __name__ == "__main__":
    servers = EmbeddedServers(Path(sys.argv[1]))
    asyncio.run(write(servers.start(), int(sys.argv[2])))
