"""What is committed is told once: to the room, to the parties, to the boards."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from api.app import Ports, Source
from api.ledger.gifts import Paid
from state.commands import RoomClose
from state.identity import SYSTEM
from state.rejections import Unavailable
from tests.api.house import OWNER, ROOM, House, house, until
from tests.api.test_gifts import order


async def pay(home: House, **fields: Any) -> Paid:
    paid = await home.api.gifts.send(order(**fields))
    assert isinstance(paid, Paid)
    return paid


async def test_a_gift_is_announced_with_its_combo_and_told_to_its_parties(home: House) -> None:
    await home.fill("ada", 1_000)
    await home.tell_all()
    before = await home.kernel.inbox.post("ada", "wallet:updated", {})
    paid = [await pay(home, key=f"key-{number}") for number in range(3)]
    await home.tell_all()
    told = await home.announced()
    assert [event.transaction_id for event in told] == [gift.transaction_id for gift in paid]
    assert [event.combo and event.combo.count for event in told] == [1, 2, 3]
    letters = await home.kernel.inbox.since("ada", before)
    assert letters is not None
    assert letters[-1].name == "wallet:updated"
    assert letters[-1].body["coins"] == 700
    assert letters[-1].body["cause"] == "gift"
    assert await home.faults() == []


async def test_telling_again_changes_nothing(home: House) -> None:
    await home.fill("ada", 1_000)
    await pay(home)
    await home.pool.execute("CREATE TABLE kept AS TABLE ledger.outbox")
    await home.tell_all()
    await home.pool.execute("INSERT INTO ledger.outbox SELECT * FROM kept")
    await home.tell_all()
    assert len(await home.announced()) == 1
    assert (await home.data("GET", "/boards/senders?period=all"))["entries"][0]["amount"] == 100


async def test_two_relays_share_the_work_and_double_nothing(redis_url: str, database_url: str) -> None:
    async with house(redis_url, database_url) as first, house(redis_url, database_url) as second:
        await first.open_room()
        await first.sell()
        await first.fill("ada", 100_000)
        for number in range(40):
            await pay(first, key=f"key-{number}")
        await asyncio.gather(first.tell_all(), second.tell_all(), first.tell_all(), second.tell_all())
        told = await first.announced()
        assert len({event.transaction_id for event in told}) == len(told) == 40
        assert await first.faults() == []


async def test_a_gift_told_long_after_is_counted_and_not_played(redis_url: str, database_url: str) -> None:
    offset = 0
    real = Source()
    source = Source(now_ms=lambda: real.now_ms() - offset)
    async with house(redis_url, database_url, source=source) as home:
        await home.open_room()
        await home.sell()
        await home.fill("ada", 1_000)
        offset = 11_000
        await pay(home)
        offset = 0
        await home.tell_all()
        (event,) = await home.announced()
        assert event.combo is not None
        assert event.play_at < real.now_ms() - 10_000


async def test_after_the_rooms_memory_a_gift_is_looked_for_before_it_is_told(
    redis_url: str, database_url: str
) -> None:
    offset = 0
    real = Source()
    source = Source(now_ms=lambda: real.now_ms() + offset)
    async with house(redis_url, database_url, source=source) as home:
        await home.open_room()
        await home.sell()
        await home.fill("ada", 1_000)
        await pay(home)
        await home.pool.execute("CREATE TABLE kept AS TABLE ledger.outbox")
        await home.tell_all()
        await home.pool.execute("INSERT INTO ledger.outbox SELECT * FROM kept")
        for key in await home.kernel.server.execute("KEYS", "*command*"):
            await home.kernel.server.execute("DEL", key)
        offset = 3_600_000
        await home.tell_all()
        assert len(await home.announced()) == 1


async def test_a_closed_room_does_not_keep_the_outbox_waiting(home: House) -> None:
    await home.fill("ada", 1_000)
    await pay(home)
    await home.kernel.rooms.perform(ROOM, SYSTEM, RoomClose())
    await home.tell_all()
    assert await home.pool.fetchval("SELECT count(*) FROM ledger.outbox") == 0


class Deaf:
    """Rooms, one of which does not answer."""

    def __init__(self, rooms: Any) -> None:
        self._rooms = rooms
        self.deaf: set[str] = set()
        self.error: Exception = Unavailable("deaf")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rooms, name)

    async def perform(self, room_id: str, *arguments: Any, **options: Any) -> Any:
        if room_id in self.deaf:
            raise self.error
        return await self._rooms.perform(room_id, *arguments, **options)


async def test_a_deaf_room_does_not_stop_the_others(redis_url: str, database_url: str) -> None:
    rooms: list[Deaf] = []

    def ports(real: Ports) -> Ports:
        rooms.append(Deaf(real.rooms))
        return msgspec.structs.replace(real, rooms=rooms[0])

    async with house(redis_url, database_url, ports=ports) as home:
        await home.open_room()
        await home.open_room("other")
        await home.sell()
        await home.fill("ada", 1_000)
        await home.tell_all()
        rooms[0].deaf.add(ROOM)
        await pay(home, key="1")
        await pay(home, key="2", room_id="other")
        assert await home.api.relay.tell_some() == 1
        assert len(await home.announced("other")) == 1
        assert await home.api.relay.tell_some() == 0
        rooms[0].deaf.clear()
        await until(home.api.relay.tell_some, "the rest is over")
        assert len(await home.announced()) == 1
        assert await home.faults() == []


async def test_a_defect_in_one_room_does_not_stop_the_relay(redis_url: str, database_url: str) -> None:
    rooms: list[Deaf] = []

    def ports(real: Ports) -> Ports:
        rooms.append(Deaf(real.rooms))
        rooms[0].error = ZeroDivisionError("a defect")
        return msgspec.structs.replace(real, rooms=rooms[0])

    async with house(redis_url, database_url, ports=ports) as home:
        await home.open_room()
        await home.open_room("other")
        await home.sell()
        await home.fill("ada", 1_000)
        await home.api.relay.start()
        rooms[0].deaf.add(ROOM)
        await pay(home, key="1")
        await pay(home, key="2", room_id="other")

        async def is_told() -> bool:
            return len(await home.announced("other")) == 1

        async def is_crossed_off() -> bool:
            return bool(await home.pool.fetchval("SELECT count(*) FROM ledger.outbox") == 1)

        await until(is_told, "the other room's gift")
        await until(is_crossed_off, "only the gift of the defect waits")
        await home.api.relay.stop()


async def test_a_reversal_is_taken_off_the_boards(home: House) -> None:
    await home.fill("ada", 1_000)
    first, _ = await pay(home, key="1"), await pay(home, key="2")
    await home.tell_all()
    await home.data("POST", f"/transactions/{first.transaction_id}/reverse", {"reason": "mistake"})
    await home.tell_all()
    assert (await home.data("GET", "/boards/rooms"))["entries"] == [{"rank": 1, "id": ROOM, "amount": 100}]
    assert (await home.data("GET", "/boards/recipients"))["entries"] == [
        {"rank": 1, "id": OWNER, "amount": 50}
    ]
    assert await home.faults() == []


async def test_what_is_told_is_swept_out(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.outbox.SWEEP_AFTER", 3)
    await home.fill("ada", 1_000)
    for number in range(5):
        await home.api.gifts.send(order(key=f"key-{number}"))
    await home.tell_all()

    async def is_swept() -> bool:
        count = "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'outbox'"
        return bool(await home.pool.fetchval(count))

    await until(is_swept, "the sweep")
