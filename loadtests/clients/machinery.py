"""What a user needs of whatever runs it: waiting for one value, pausing, doing something beside.

Users, players and REST calls are written once, as coroutines over this. On asyncio they wait as coroutines
do; on gevent (`greenlets.py`) every wait holds up its greenlet only, so a coroutine never yields and is
simply run to its end.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol


class Promise(Protocol):
    """One value that comes later; the first one counts."""

    def settle(self, value: Any) -> None: ...

    def fail(self, problem: Exception) -> None: ...

    async def outcome(self, seconds: float) -> Any:
        """The value; TimeoutError when it does not come in time."""


class Task(Protocol):
    """Something that is done beside."""

    def cancel(self) -> None: ...

    async def wait(self, seconds: float) -> None:
        """Until it has ended, or so long."""


class Machinery(Protocol):
    def promise(self) -> Promise: ...

    async def sleep(self, seconds: float) -> None: ...

    def start(self, work: Coroutine[Any, Any, None]) -> Task: ...


class AsyncioPromise:
    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(self, value: Any) -> None:
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, problem: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(problem)

    async def outcome(self, seconds: float) -> Any:
        async with asyncio.timeout(seconds):
            return await self.future


class AsyncioTask:
    def __init__(self, work: Coroutine[Any, Any, None]):
        self.task = asyncio.get_running_loop().create_task(work)

    def cancel(self) -> None:
        self.task.cancel()

    async def wait(self, seconds: float) -> None:
        await asyncio.wait([self.task], timeout=seconds)


class Asyncio:
    """The machinery of an event loop."""

    promise = AsyncioPromise
    start = AsyncioTask

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
