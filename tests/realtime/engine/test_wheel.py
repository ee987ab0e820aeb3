"""One timer for everything: nothing fires early, nothing is forgotten, an empty wheel has no timer."""

import asyncio
import random

from realtime.engine.wheel import Wheel
from tests.realtime.wire import until


class Item:
    def __init__(self, wheel: Wheel, deadline: float) -> None:
        self.wheel, self.deadline, self.slot = wheel, deadline, -1
        self.fired: list[float] = []

    def tick(self, now: float) -> float | None:
        if not self.wheel.reached(now, self.deadline):
            return self.deadline
        self.fired.append(now)
        return None


async def test_every_deadline_fires_once_in_time() -> None:
    loop, wheel, rng = asyncio.get_running_loop(), Wheel(0.01), random.Random(1)
    items = [Item(wheel, loop.time() + rng.random() * 0.3) for _ in range(200)]
    for item in items:
        wheel.add(item, item.deadline)
    for item in items[:50]:
        item.deadline += 0.1  # later: nothing needs to be told
    for item in items[50:70]:
        item.deadline -= 0.1
        wheel.move(item, item.deadline)
    for item in items[70:80]:
        wheel.discard(item)
    await until(lambda: len(wheel) == 0)
    assert [len(item.fired) for item in items] == [1] * 70 + [0] * 10 + [1] * 120
    for item in items[:50]:
        assert item.fired[0] >= item.deadline - 0.011
    assert len(wheel) == 0
    assert wheel._handle is None


async def test_stall_of_the_loop_is_caught_up() -> None:
    loop, wheel = asyncio.get_running_loop(), Wheel(0.01)
    items = [Item(wheel, loop.time() + 0.01 * number) for number in range(10)]
    for item in items:
        wheel.add(item, item.deadline)
    import time

    time.sleep(0.2)  # noqa: ASYNC251
    await until(lambda: all(item.fired for item in items))
