"""Servers that are too old or not there are refused in one line."""

from __future__ import annotations

import asyncio

import pytest

from realtime.failures import CannotStart
from realtime.requirements import is_new_enough, refuse_old_postgres, refuse_unusable_redis
from state.settings import Redis


async def _serve(version: str) -> tuple[asyncio.Server, str]:
    """Something that answers every command like a server of that version."""
    text = f"# Server\r\nredis_version:{version}\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.upper().strip() in (b"INFO", b"HELLO", b"CLIENT"):
                writer.write(
                    b"+OK\r\n" if b"INFO" not in line.upper() else b"$%d\r\n%b\r\n" % (len(text), text)
                )
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}?protocol=2"


async def test_an_old_redis_is_refused() -> None:
    server, url = await _serve("6.2.14")
    async with server:
        with pytest.raises(CannotStart, match=r"version 6\.2\.14, 7\.0 or newer is needed"):
            await refuse_unusable_redis(Redis(url=url))


async def test_a_usable_redis_is_accepted(redis_url: str) -> None:
    await refuse_unusable_redis(Redis(url=redis_url))


@pytest.mark.parametrize("url", ["redis://127.0.0.1:9/0", "redis+cluster://127.0.0.1:9", "unix:///none.sock"])
async def test_an_absent_one_is_refused(url: str) -> None:
    with pytest.raises(CannotStart, match=r"Valkey cannot be reached at redis\.url"):
        await refuse_unusable_redis(Redis(url=url))


def test_versions() -> None:
    assert is_new_enough("7.0.15")
    assert is_new_enough("9.1.2")
    assert not is_new_enough("6.2.14")
    refuse_old_postgres(15)
    with pytest.raises(CannotStart, match="version 14, 15 or newer is needed"):
        refuse_old_postgres(14)
