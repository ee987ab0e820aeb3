"""The audio user against a worker: it is heard, whole and in time, only while it may speak."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from loadtests.clients.audio import AudioFailed, AudioUser, Pacer
from tests.sfu.test_desk import House

DEADLINE_SECONDS = 15.0


class Listening:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.delays: list[float] = []

    def __call__(self, what: str, amount: float) -> None:
        self.counts[what] += int(amount) if what == "missing" else 1
        if what == "packet":
            self.delays.append(amount)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House("python")
    await house.switchboard.start()
    try:
        yield house
    finally:
        await house.switchboard.stop()


def caller(house: House, user_id: str) -> Callable[[str, dict[str, Any]], Awaitable[Any]]:
    async def call(_name: str, fields: dict[str, Any]) -> Any:
        return {"ok": True, "data": {"sdp": await house.offer(user_id, fields["sdp"])}}

    return call


async def opened(house: House, user_id: str, *, slots: int, mic: bool) -> tuple[AudioUser, Listening]:
    heard = Listening()
    user = AudioUser(heard, random.Random(user_id))
    await user.open(caller(house, user_id), slots=slots, mic=mic)
    return user, heard


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


async def test_who_may_speak_is_heard_whole_and_in_time(house: House) -> None:
    house.rooms.seated |= {"anna"}
    anna, _ = await opened(house, "anna", slots=0, mic=True)
    bea, heard = await opened(house, "bea", slots=2, mic=False)
    house.rooms.allow("anna")
    pacer = Pacer(lambda _late: None)
    pacer.add(anna)
    try:
        await until(lambda: heard.counts["packet"] >= 100)
        assert heard.counts["missing"] == heard.counts["damaged"] == heard.counts["repeated"] == 0
        assert sorted(heard.delays)[len(heard.delays) // 2] < 0.05
        house.rooms.allow()
        await asyncio.sleep(0.3)
        quiet = heard.counts["packet"]
        sent = anna.sent
        await until(lambda: anna.sent >= sent + 25)
        assert heard.counts["packet"] == quiet
    finally:
        pacer.remove(anna)
        anna.close()
        bea.close()


async def test_a_refused_offer_says_why() -> None:
    async def call(_name: str, _fields: dict[str, Any]) -> Any:
        return {"ok": False, "error": {"code": "RTC_UNSUPPORTED"}}

    with pytest.raises(AudioFailed, match="RTC_UNSUPPORTED"):
        await AudioUser(Listening(), random.Random(1)).open(call, slots=1, mic=False)
