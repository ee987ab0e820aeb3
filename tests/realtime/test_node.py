"""The order in which parts start, drain and stop, whatever one of them does."""

from __future__ import annotations

import asyncio

import pytest

from realtime import node
from realtime.node import Lifecycle


class Recorder:
    """A part that writes down what it is asked to do."""

    def __init__(self, name: str, diary: list[str], *, fails: str = "", hangs: str = "") -> None:
        self.name = name
        self._diary = diary
        self._fails = fails
        self._hangs = hangs

    async def _step(self, step: str) -> None:
        self._diary.append(f"{step} {self.name}")
        if step == self._fails:
            raise RuntimeError(step)
        if step == self._hangs:
            await asyncio.Event().wait()

    async def start(self) -> None:
        await self._step("start")

    async def drain(self, seconds: float) -> None:
        await self._step("drain")

    async def stop(self) -> None:
        await self._step("stop")

    async def check(self) -> str | None:
        return None


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    diary: list[str] = []
    lifecycle = Lifecycle([Recorder("a", diary), Recorder("b", diary)])
    await lifecycle.start()
    await lifecycle.drain(0, 0)
    await lifecycle.stop()
    assert diary == ["start a", "start b", "drain a", "drain b", "stop b", "stop a"]


async def test_readiness_goes_down_before_any_part_drains() -> None:
    diary: list[str] = []
    lifecycle = Lifecycle([Recorder("a", diary)])
    await lifecycle.start()
    drain = asyncio.create_task(lifecycle.drain(0.05, 0))
    await asyncio.sleep(0)
    assert lifecycle.is_draining
    assert diary == ["start a"]
    await drain
    assert diary == ["start a", "drain a"]


async def test_a_part_that_fails_to_start_stops_the_ones_before_it() -> None:
    diary: list[str] = []
    lifecycle = Lifecycle([Recorder("a", diary), Recorder("b", diary, fails="start"), Recorder("c", diary)])
    with pytest.raises(RuntimeError):
        await lifecycle.start()
    await lifecycle.stop()
    assert diary == ["start a", "start b", "stop b", "stop a"]


@pytest.mark.parametrize("how", ["fails", "hangs"])
@pytest.mark.parametrize("step", ["drain", "stop"])
async def test_a_part_in_trouble_does_not_keep_the_others(
    how: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "DRAIN_GRACE_SECONDS", 0.05)
    monkeypatch.setattr(node, "STOP_SECONDS", 0.05)
    diary: list[str] = []
    trouble = Recorder("b", diary, **{how: step})
    lifecycle = Lifecycle([Recorder("a", diary), trouble, Recorder("c", diary)])
    await lifecycle.start()
    await lifecycle.drain(0, 0)
    await lifecycle.stop()
    assert {"drain a", "drain c"} <= set(diary)
    assert diary[-3:] == ["stop c", "stop b", "stop a"]
