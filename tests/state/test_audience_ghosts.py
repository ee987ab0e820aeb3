"""Nobody stays behind in a room when an answer is lost, or when coming and going cross each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from state.events import Settings as RoomSettings
from state.identity import Profile
from state.kernel import Kernel, real_environment
from state.rejections import Unavailable
from state.server import Value
from state.settings import Rooms, Settings
from tests.model.server import ModelProcess, ModelServer

ANN = Profile("ann")
PATIENCE_SECONDS = 20.0
SETTINGS = Settings(rooms=Rooms(sweep_seconds=0.2))


class ForgetfulServer(ModelServer):
    """Does what it is asked, and loses the answer to the next `enter`; or holds one back for a while."""

    loses_answer = False
    gate: asyncio.Event | None = None

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        if name == "enter" and self.gate is not None:
            await self.gate.wait()
        reply = await super().script(name, keys, arguments)
        if name == "enter" and self.loses_answer:
            self.loses_answer = False
            raise Unavailable("the answer was lost")
        return reply


@pytest.fixture
async def kernel() -> AsyncIterator[Kernel]:
    environment = real_environment()
    server = ForgetfulServer(ModelProcess(environment.now_ms))
    made = Kernel(server, SETTINGS, "node1", environment)
    await made.open()
    await made.rooms.create("lounge", "olga", RoomSettings(name="lounge"))
    yield made
    await made.close()


def server_of(kernel: Kernel) -> ForgetfulServer:
    assert isinstance(kernel.server, ForgetfulServer)
    return kernel.server


async def nobody_is_left(kernel: Kernel) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await kernel.audience.online("lounge"):
            await asyncio.sleep(0.01)


async def test_a_join_whose_answer_was_lost_leaves_nobody_behind(kernel: Kernel) -> None:
    server_of(kernel).loses_answer = True
    with pytest.raises(Unavailable):
        await kernel.audience.join("lounge", "node1.1", ANN, capacity=10)
    await nobody_is_left(kernel)


async def test_a_join_that_was_given_up_leaves_nobody_behind(kernel: Kernel) -> None:
    gate = server_of(kernel).gate = asyncio.Event()
    joining = asyncio.create_task(kernel.audience.join("lounge", "node1.1", ANN, capacity=10))
    await asyncio.sleep(0)
    joining.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await joining
    await nobody_is_left(kernel)


async def test_who_leaves_while_it_is_said_again_is_gone(kernel: Kernel) -> None:
    await kernel.audience.join("lounge", "node1.1", ANN, capacity=10)
    gate = server_of(kernel).gate = asyncio.Event()
    kernel.audience.assert_room("lounge")
    await asyncio.sleep(0.05)
    await kernel.audience.leave("lounge", "node1.1")
    gate.set()
    await asyncio.sleep(0.05)
    await nobody_is_left(kernel)


async def test_who_tries_again_at_once_stays(kernel: Kernel) -> None:
    server_of(kernel).loses_answer = True
    with pytest.raises(Unavailable):
        await kernel.audience.join("lounge", "node1.1", ANN, capacity=10)
    await kernel.audience.join("lounge", "node1.1", ANN, capacity=10)
    await asyncio.sleep(0.3)  # by then what follows a lost answer has run
    assert await kernel.audience.online("lounge") == 1


async def test_who_joins_while_the_node_is_given_up_has_not_joined(kernel: Kernel) -> None:
    """The others take out what was held under the last lease, and with it who came in under it."""
    gate = server_of(kernel).gate = asyncio.Event()
    joining = asyncio.create_task(kernel.audience.join("lounge", "node1.1", ANN, capacity=10))
    await asyncio.sleep(0.05)
    kernel.lease.lose()
    await kernel.lease.renew()
    gate.set()
    with pytest.raises(Unavailable):
        await joining
    assert kernel.audience.connections("lounge") == {}
    await nobody_is_left(kernel)


async def test_nor_has_who_came_in_a_moment_before(kernel: Kernel) -> None:
    """A join is over when the room counts the user: the gateway has nobody to drop before."""
    joining = asyncio.create_task(kernel.audience.join("lounge", "node1.1", ANN, capacity=10))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not kernel.audience.connections("lounge"):
            await asyncio.sleep(0)
    assert not joining.done()
    kernel.lease.lose()
    await kernel.lease.renew()
    with pytest.raises(Unavailable):
        await joining
    assert kernel.audience.connections("lounge") == {}


async def test_a_token_never_comes_again(kernel: Kernel) -> None:
    """Not even where the server lost its counter: what was given up under it would be taken for this."""
    before = kernel.lease.token
    await kernel.server.execute("DEL", kernel.keys.tokens)
    kernel.lease.lose()
    await kernel.lease.renew()
    assert kernel.lease.token > before


async def test_who_left_before_the_server_fell_back_is_taken_out_again(kernel: Kernel) -> None:
    """A replica that takes over may know a connection that is gone; its node lives, so nobody reaps it."""
    await kernel.audience.join("lounge", "node1.1", ANN, capacity=10)
    process = server_of(kernel).process
    behind = process.data.snapshot()
    await kernel.audience.leave("lounge", "node1.1")
    process.data.put_back(behind)
    assert await kernel.audience.online("lounge") == 1
    await nobody_is_left(kernel)


async def test_who_the_server_forgot_is_said_again(kernel: Kernel) -> None:
    before = server_of(kernel).process.data.snapshot()
    await kernel.audience.join("lounge", "node1.1", ANN, capacity=10)
    server_of(kernel).process.data.put_back(before)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await kernel.audience.online("lounge"):
            await asyncio.sleep(0.01)
