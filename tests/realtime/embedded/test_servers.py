"""The embedded servers as a whole: nothing lost, nothing left behind, nothing touched that is not theirs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
import redis

from realtime.embedded.servers import EmbeddedServers, Urls
from realtime.failures import CannotStart
from tests.processes import processes_with, wait_until
from tests.tools import one_at_a_time

KILLS = 20
# What Valkey may lose: it flushes its file once a second.
FLUSH_SECONDS = 1.0
WRITING_SECONDS = 1.3


def _kill_a_writer(data: Path, start: int) -> tuple[list[tuple[int, float]], float]:
    """Lets a writer work for a while and kills it: what it had been acknowledged, with times, and when it was
    killed."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.realtime.embedded.writer", str(data), str(start)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline()]
    deadline = time.monotonic() + WRITING_SECONDS
    while time.monotonic() < deadline:
        lines.append(writer.stdout.readline())
    killed_at = time.time()
    writer.kill()
    lines += writer.stdout.readlines()
    writer.wait()
    pairs = [line.split() for line in lines if line.endswith("\n")]
    return [(int(number), float(at)) for number, at in pairs], killed_at


async def _missing(
    urls: Urls, written: list[tuple[int, float]], killed_at: float
) -> tuple[set[int], set[int]]:
    """Rows that are gone, and keys older than the flush that are gone."""
    connection = await asyncpg.connect(urls.database_url)
    rows = {row["number"] for row in await connection.fetch("SELECT number FROM written")}
    await connection.close()
    with redis.Redis.from_url(str(urls.redis_url)) as valkey:
        keys = {int(key.split(b":")[1]) for key in valkey.scan_iter("written:*", count=1000)}
    old = {number for number, at in written if at < killed_at - FLUSH_SECONDS}
    return {number for number, _ in written} - rows, old - keys


@pytest.mark.timeout(600)
def test_twenty_kills_lose_nothing_and_leave_nothing(data_directory: Path) -> None:
    written: list[tuple[int, float]] = []
    last = 0
    for _ in range(KILLS):
        pairs, killed_at = _kill_a_writer(data_directory, last)
        written += pairs
        last = max(last, *(number for number, _ in pairs)) + 1
        wait_until(lambda: not processes_with(str(data_directory)), "no process is left")
        with EmbeddedServers(data_directory) as urls:
            assert asyncio.run(_missing(urls, written, killed_at)) == (set(), set())
    assert len(written) > KILLS
    assert not processes_with(str(data_directory))


def test_a_second_server_on_the_same_directory_is_refused(data_directory: Path) -> None:
    with EmbeddedServers(data_directory, database=False):
        with pytest.raises(CannotStart, match="in use by another server"):
            EmbeddedServers(data_directory, database=False).start()
        assert processes_with(str(data_directory))


def test_urls_are_there_while_the_servers_run(data_directory: Path) -> None:
    file = data_directory / "urls.json"
    with EmbeddedServers(data_directory, durable=False) as urls:
        assert json.loads(file.read_text()) == {
            "redis_url": urls.redis_url,
            "database_url": urls.database_url,
        }
        assert file.stat().st_mode & 0o777 == 0o600
        assert EmbeddedServers.running(data_directory) == urls
    assert not file.exists()
    assert EmbeddedServers.running(data_directory) is None


def test_a_long_path_moves_the_sockets_to_the_temporary_directory(data_directory: Path) -> None:
    long = data_directory / ("long" * 30)
    with EmbeddedServers(long, durable=False) as urls, redis.Redis.from_url(str(urls.redis_url)) as valkey:
        assert valkey.ping()
        assert len(str(urls.redis_url)) < 107


def test_nothing_outside_the_data_directory_changes(data_directory: Path) -> None:
    # Another worker may be installing a package meanwhile, which may bring an account.
    with one_at_a_time("debian"):
        _start_beside(data_directory)


def _start_beside(data_directory: Path) -> None:
    parent = data_directory.parent
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in (parent, *parent.parents)]
    accounts = Path("/etc/passwd").read_bytes()
    with EmbeddedServers(data_directory, durable=False):
        pass
    assert [(path, path.stat().st_mode, path.stat().st_uid) for path, *_ in before] == before
    assert Path("/etc/passwd").read_bytes() == accounts
    assert list(parent.iterdir()) == [data_directory]


def test_a_cluster_whose_making_was_cut_off_is_made_again(data_directory: Path) -> None:
    draft = data_directory / "postgres.new"
    data_directory.mkdir()
    data_directory.chmod(0o711)
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    with EmbeddedServers(data_directory, redis=False, durable=False) as urls:
        assert asyncio.run(_select_one(urls)) == 1
    assert not draft.exists()


async def _select_one(urls: Urls) -> int:
    connection = await asyncpg.connect(urls.database_url)
    try:
        return int(await connection.fetchval("SELECT 1"))
    finally:
        await connection.close()


def test_data_of_another_postgres_is_refused(data_directory: Path) -> None:
    with EmbeddedServers(data_directory, redis=False, durable=False):
        pass
    (data_directory / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(CannotStart, match="written by Postgres 14"):
        EmbeddedServers(data_directory, redis=False).start()


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="file"):
        EmbeddedServers(tmp_path / "file" / "data").start()


def test_a_server_that_dies_is_launched_again(data_directory: Path) -> None:
    servers = EmbeddedServers(data_directory, database=False)
    with servers as urls, redis.Redis.from_url(str(urls.redis_url)) as valkey:
        valkey.set("kept", "yes")
        valkey.execute_command("WAITAOF", 1, 0, 20_000)
        (process_id,) = processes_with(str(data_directory))
        os.kill(process_id, 9)
        wait_until(lambda: servers.stopped() == ["Valkey"], "noticed")
        servers.relaunch("Valkey")
        wait_until(lambda: _get(valkey, "kept") == b"yes", "back with its data")


def _get(valkey: redis.Redis, key: str) -> bytes | None:
    try:
        value = valkey.get(key)
    except redis.RedisError:
        return None
    assert value is None or isinstance(value, bytes)
    return value
