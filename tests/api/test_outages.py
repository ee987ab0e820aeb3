"""The database in trouble: money says so within a second, rooms go on, and asking again finds the truth."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from api import migrations
from api.ledger.database import pool_options
from realtime.embedded.servers import EmbeddedServers
from state import settings as configuration
from state.commands import ChatSend, SeatTake
from state.identity import Actor
from state.ports import Done
from tests.api.house import OWNER, ROOM, SETTINGS, House, house, until
from tests.lived import Lived
from tests.processes import is_alive

REFUSED_SECONDS = 1.0
DISK_BYTES = 256 * 1024 * 1024
LOG_SEGMENT_BYTES = 16 * 1024 * 1024
ENTRY_BYTES = 80
GIFT = {"gift_id": "rose", "quantity": 1, "recipients": [OWNER], "sender_id": "ada"}
STRICT = msgspec.structs.replace(SETTINGS, api=configuration.Api(user_requests_per_second=1_000.0))


class Place:
    """A house over a Postgres of its own, which may come to harm."""

    def __init__(self, home: House, servers: EmbeddedServers, data: Path, clock: Lived) -> None:
        self.home = home
        self.clock = clock
        self.servers = servers
        self.data = data

    async def send(self, key: str) -> tuple[int, str, float]:
        """A gift; its status, its code if any, and how long the answer took."""
        start = self.clock.seconds
        status, envelope = await self.home.request("POST", f"/rooms/{ROOM}/gifts", GIFT, key=key)
        code = "" if status < 300 else envelope["errors"]["code"]
        return status, code, self.clock.seconds - start

    async def send_until_decided(self, key: str) -> int:
        async def attempt() -> int | None:
            status, code, _ = await self.send(key)
            return None if code == "UNAVAILABLE" else status

        status: int = await until(attempt, "an answer")
        return status

    async def assert_refused_in_time(self, key: str) -> None:
        status, code, seconds = await self.send(key)
        assert (status, code) == (503, "UNAVAILABLE")
        assert seconds < REFUSED_SECONDS

    async def assert_rooms_go_on(self) -> None:
        rooms = self.home.kernel.rooms
        assert isinstance(await rooms.perform(ROOM, Actor("bob"), ChatSend(text="hello")), Done)
        assert isinstance(await rooms.perform(ROOM, Actor("bob"), SeatTake(index=-1)), Done)

    async def come_back(self, key: str = "come-back") -> None:
        """The server starts as soon as the last process of the killed one has left its memory."""

        async def is_back() -> bool:
            for name in self.servers.stopped():
                self.servers.relaunch(name)
            status, _, _ = await self.send(key)
            return status in (200, 201)

        await until(is_back, "the database")

    def postmaster(self) -> int:
        (pid_file,) = self.data.rglob("postmaster.pid")
        return int(pid_file.read_text().splitlines()[0])

    def children(self) -> list[int]:
        """All processes of the server but the first."""
        listed = Path(f"/proc/{self.postmaster()}/task/{self.postmaster()}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def backends(self) -> list[int]:
        """The server processes of clients."""
        found = []
        for pid in self.children():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                name = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"flylive" in name and b"[local]" in name:
                    found.append(pid)
        return found


@asynccontextmanager
async def place_at(redis_url: str, data: Path) -> AsyncIterator[Place]:
    servers = EmbeddedServers(data, redis=False)
    url = servers.start().database_url
    assert url is not None
    try:
        connection = await asyncpg.connect(url)
        await migrations.apply(connection)
        await connection.close()
        async with Lived() as clock, house(redis_url, url, settings=STRICT) as home:
            await home.open_room()
            await home.sell()
            await home.fill("ada", 100_000)
            yield Place(home, servers, data, clock)
    finally:
        servers.stop()


@pytest.fixture
async def place(redis_url: str, data_directory: Path) -> AsyncIterator[Place]:
    async with place_at(redis_url, data_directory) as found:
        yield found


async def test_a_database_that_dies_at_once_and_comes_back(place: Place) -> None:
    assert (await place.send("before"))[0] == 201
    busy = [asyncio.create_task(place.send(f"key-{number}")) for number in range(50)]
    await asyncio.sleep(0)
    os.kill(place.postmaster(), signal.SIGKILL)
    for status, code, seconds in await asyncio.gather(*busy):
        assert (status, code) in ((201, ""), (503, "UNAVAILABLE"))
        assert seconds < REFUSED_SECONDS
    await until(lambda: _value(bool(place.servers.stopped())), "the death")
    await place.assert_refused_in_time("during")
    await place.assert_rooms_go_on()
    await place.come_back()
    statuses = [await place.send_until_decided(f"key-{number}") for number in range(50)]
    assert set(statuses) <= {200, 201}
    await place.home.tell_all()
    assert len(await place.home.announced()) == 52
    assert (await place.home.api.books.wallet("ada")).coins == 100_000 - 52 * 100
    assert await place.home.faults() == []


async def test_a_database_that_hangs(place: Place) -> None:
    assert (await place.send("before"))[0] == 201
    stopped = place.backends()
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        answers = await asyncio.gather(*(place.send(f"key-{number}") for number in range(20)))
        assert {(status, code) for status, code, _ in answers} == {(503, "UNAVAILABLE")}
        assert max(seconds for *_, seconds in answers) < REFUSED_SECONDS
        await place.assert_rooms_go_on()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    for number in range(20):
        assert await place.send_until_decided(f"key-{number}") in (200, 201)
    assert (await place.home.api.books.wallet("ada")).coins == 100_000 - 21 * 100
    assert await place.home.faults() == []


async def test_no_connection_is_free(place: Place) -> None:
    pool = place.home.pool
    taken = [await pool.acquire() for _ in range(pool.get_max_size())]
    await place.assert_refused_in_time("key")
    await place.assert_rooms_go_on()
    for connection in taken:
        await pool.release(connection)
    assert await place.send_until_decided("key") == 201


async def test_a_lock_that_is_not_given_back(place: Place) -> None:
    async with place.home.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM ledger.accounts WHERE owner_id = 'ada' FOR UPDATE")
        await place.assert_refused_in_time("key")
        await place.assert_rooms_go_on()
    # What was refused may have been paid all the same, once the lock was free.
    assert await place.send_until_decided("key") in (200, 201)
    assert (await place.home.api.books.wallet("ada")).coins == 100_000 - 100
    assert await place.home.faults() == []


async def test_a_server_process_killed_in_a_transaction(place: Place) -> None:
    """Postgres then throws all connections out and recovers by itself."""
    assert (await place.send("before"))[0] == 201
    busy = [asyncio.create_task(place.send(f"key-{number}")) for number in range(50)]
    async with place.home.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT FROM ledger.accounts WHERE owner_id = 'ada' FOR UPDATE")
        os.kill(connection.get_server_pid(), signal.SIGKILL)
        for status, code, seconds in await asyncio.gather(*busy):
            assert (status, code) in ((201, ""), (503, "UNAVAILABLE"))
            assert seconds < REFUSED_SECONDS
    await place.assert_rooms_go_on()
    statuses = [await place.send_until_decided(f"key-{number}") for number in range(50)]
    assert set(statuses) <= {200, 201}
    assert (await place.home.api.books.wallet("ada")).coins == 100_000 - 51 * 100
    assert await place.home.faults() == []


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of its own at this path, if this user may mount one."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=711", "tmpfs", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def may_mount() -> bool:
    try:
        with tempfile.TemporaryDirectory() as path, small_disk(Path(path) / "disk"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@asynccontextmanager
async def no_space(place: Place) -> AsyncIterator[None]:
    """Every byte of the file system is taken."""
    filler = place.data / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(64 * 1024)):
            pass
    yield
    filler.unlink()


@asynccontextmanager
async def no_growth(place: Place) -> AsyncIterator[None]:
    """The kernel refuses to make any file longer than a segment of the log, and the entries are that long."""
    async with place.home.pool.acquire() as connection:
        await connection.execute("ALTER TABLE ledger.entries SET (autovacuum_enabled = false)")
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute(
            "INSERT INTO ledger.entries SELECT gen_random_uuid(), 1, 1, 1, 0, 1 FROM generate_series(1, $1)",
            LOG_SEGMENT_BYTES // ENTRY_BYTES,
            timeout=60,
        )
        await transaction.rollback()
    limit_files(place, str(LOG_SEGMENT_BYTES))
    yield
    if not place.servers.stopped():
        limit_files(place, "unlimited")


def limit_files(place: Place, limit: str) -> None:
    """Asked for as the server's own user, for whom it needs no privilege."""
    for pid in (place.postmaster(), *place.children()):
        words = ["prlimit", f"--pid={pid}", f"--fsize={limit}:unlimited"]
        try:
            owner = Path(f"/proc/{pid}").stat()
            subprocess.run(words, user=owner.st_uid, group=owner.st_gid, check=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            assert not is_alive(pid)  # some processes of a server come and go


async def assert_survived(place: Place, fault: Callable[[Place], AbstractAsyncContextManager[None]]) -> None:
    """Money is refused in time and rooms go on while the fault lasts; then all is paid, once."""
    asked, coins = 0, (await place.home.api.books.wallet("ada")).coins
    async with fault(place):
        code = ""
        while not code:
            # What has room in pages that are there is still paid.
            asked += 1
            _, code, seconds = await place.send(f"{fault.__name__}-{asked}")
            assert asked < 200
        assert (code, seconds < REFUSED_SECONDS) == ("UNAVAILABLE", True)
        await place.assert_rooms_go_on()
    await place.come_back(f"{fault.__name__}-back")
    for number in range(1, asked + 1):
        assert await place.send_until_decided(f"{fault.__name__}-{number}") in (200, 201)
    assert (await place.home.api.books.wallet("ada")).coins == coins - (asked + 1) * 100
    assert await place.home.faults() == []


async def test_a_full_disk(redis_url: str, data_directory: Path) -> None:
    """Files that cannot grow; and a file system without a free byte, where this user may mount one."""
    with contextlib.ExitStack() as disks:
        faults = [no_growth]
        if may_mount():
            disks.enter_context(small_disk(data_directory))
            faults.append(no_space)
        async with place_at(redis_url, data_directory) as place:
            for fault in faults:
                await assert_survived(place, fault)
            await place.home.tell_all()
            assert len(await place.home.announced()) == await place.home.pool.fetchval(
                "SELECT count(*) FROM ledger.transactions WHERE kind = 'gift'"
            )


async def _value(value: Any) -> Any:
    return value


def test_a_pool_has_bounds_on_both_sides() -> None:
    options = pool_options(size=3, timeout_ms=900)
    assert options["max_size"] == 3
    assert options["server_settings"]["statement_timeout"] == "900"
    assert configuration.Api().money_timeout_ms / 1000 <= REFUSED_SECONDS
