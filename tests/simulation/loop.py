"""An event loop whose clock jumps: time passes only when nothing else is left to do.

Ready callbacks run in the order in which they became ready and timers in the order of their times, so a run
is a function of its seed. A loop that would wait for ever is a deadlock of the code under test and says so.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Deadlock(AssertionError):
    """Nothing is scheduled, and something is still awaited."""


class _Jump:
    """Stands where a selector would: instead of waiting it moves the clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock("nothing is scheduled any more")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """BaseEventLoop does the rest: this class only gives it a clock and takes away the operating system."""

    def __init__(self) -> None:
        super().__init__()
        self._jump = _Jump()
        self._selector = self._jump
        self._clock_resolution = 1e-9
        self.failures: list[BaseException] = []
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        return self._jump.now

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: nothing outside takes part."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody needs to be woken."""

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A task that died unseen is a defect of the code under test, not a line in a log."""
        failure = context.get("exception") or AssertionError(str(context.get("message")))
        self.failures.append(failure)


def run_virtually(main: Callable[[VirtualLoop], Coroutine[Any, Any, Result]]) -> Result:
    """Runs one coroutine to its end in virtual time, and fails with what any task of it failed with."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(main(loop))
        if loop.failures:
            raise loop.failures[0]
        return result
    finally:
        asyncio.set_event_loop(None)
        loop.close()
