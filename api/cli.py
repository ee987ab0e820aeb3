"""`flylive ledger verify` and `flylive ledger rebuild-boards`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from api.boards import Boards
from api.ledger.database import Database, pool_options
from api.ledger.verification import READ_SECONDS, Verification
from state.redis_client import build_server
from state.settings import Settings

DONE, FAILED = 0, 1
Result = TypeVar("Result")


def verify(settings: Settings, arguments: Sequence[str]) -> int:
    """Says what does not hold; exit code 1 if anything."""
    argparse.ArgumentParser(
        "flylive ledger verify", description="Check every rule of the ledger."
    ).parse_args(arguments)
    faults = asyncio.run(_with_verification(settings, Verification.faults))
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    if not faults:
        sys.stdout.write("every rule holds\n")
    return FAILED if faults else DONE


def rebuild_boards(settings: Settings, arguments: Sequence[str]) -> int:
    """Makes the boards equal to the ledger."""
    _no_arguments("rebuild-boards", "Make the boards equal to the ledger.", arguments)
    places = asyncio.run(_with_verification(settings, Verification.rebuild_boards))
    sys.stdout.write(f"rebuilt {places} places\n")
    return DONE


def _no_arguments(name: str, description: str, arguments: Sequence[str]) -> None:
    argparse.ArgumentParser(f"flylive ledger {name}", description=description).parse_args(arguments)


async def _with_verification(settings: Settings, job: Callable[[Verification], Awaitable[Result]]) -> Result:
    server = build_server(settings.redis.url, name="ledger")
    await server.open()
    pool = await asyncpg.create_pool(
        settings.database.url, **pool_options(size=2, timeout_ms=int(READ_SECONDS * 1000))
    )
    try:
        verification = Verification(
            Database(pool, timeout_seconds=READ_SECONDS),
            Boards(server, prefix=settings.redis.prefix),
            now_ms=lambda: time.time_ns() // 1_000_000,
        )
        return await job(verification)
    finally:
        pool.terminate()
        await server.close()
