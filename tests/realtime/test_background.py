"""Work in the background: bounded, in order, and its failures end nothing else."""

import asyncio
import logging

import pytest

from realtime.background import Background
from state.rejections import Unavailable


async def test_so_many_at_a_time_and_the_others_in_order() -> None:
    background = Background(at_once=2)
    running, most, done = 0, 0, []

    async def work(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(number)

    for number in range(10):
        background.spawn(work(number))
    assert len(background) == 12
    await background.settle()
    assert most == 2
    assert done == list(range(10))
    assert len(background) == 0


async def test_a_failure_is_logged_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    background = Background(at_once=1)
    done = []

    async def fail(failure: Exception) -> None:
        raise failure

    async def finish() -> None:
        done.append(True)

    background.spawn(fail(Unavailable("away")))
    background.spawn(fail(ValueError("a defect")))
    background.spawn(finish())
    with caplog.at_level(logging.WARNING):
        await background.settle()
    assert done == [True]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
