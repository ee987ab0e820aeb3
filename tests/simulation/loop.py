"""An event loop whose clock jumps, and processes that live on it and can be stopped or killed.

Time passes only when nothing else is left to do. Ready callbacks run in the order in which they became ready
and timers in the order of their times, so a run is a function of its seed. A loop that would wait for ever is
a deadlock of the code under test and says so.

What runs in the context of a `Process` belongs to it: while it is stopped none of its callbacks run, as under
SIGSTOP, and they run afterwards in their order; when it is killed its timers are dropped and its tasks end.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
OUTSIDE = contextvars.Context()


class Deadlock(AssertionError):
    """Nothing is scheduled, and something is still awaited."""


class Process:
    """A share of the loop that stops, goes on and dies as a whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = False
        self.killed = False
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in order: a run is a function of its seed
        self.context = contextvars.Context()
        self.context.run(_process.set, self)
        self._held: list[tuple[_Gate, contextvars.Context]] = []

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Runs a coroutine as part of this process."""
        loop = asyncio.get_running_loop()
        return self.context.run(loop.create_task, coroutine)

    def stop(self) -> None:
        self.stopped = True

    def go_on(self) -> None:
        self.stopped = False
        held, self._held = self._held, []
        loop = asyncio.get_running_loop()
        for gate, context in held:
            asyncio.BaseEventLoop.call_soon(loop, gate, context=context)  # type: ignore[arg-type]

    def hold(self, gate: _Gate) -> None:
        self._held.append((gate, contextvars.copy_context()))

    async def kill(self) -> None:
        """Nothing of it goes on. What it does while it falls must not be seen by others: cut it off first."""
        self.killed = True
        self.go_on()
        for _round in range(50):
            living = [task for task in self.tasks if not task.done()]
            if not living:
                return
            for task in living:
                task.cancel()
            await asyncio.gather(*living, return_exceptions=True)
        raise AssertionError(f"{self.name} does not end: {list(self.tasks)}")


_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


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
    """BaseEventLoop does the rest: this class gives it a clock and takes away the operating system."""

    def __init__(self) -> None:
        super().__init__()
        self._jump = _Jump()
        self._selector = self._jump
        self._clock_resolution = 1e-9
        self.failures: list[BaseException] = []
        self.set_exception_handler(self._note_failure)
        self.set_task_factory(_owned_task)

    def time(self) -> float:
        return self._jump.now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        process = _process.get() if context is None else context.get(_process)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        gate = _Gate(process, callback, args, is_timer=False)
        gate.handle = super().call_soon(gate, context=context)
        return gate.handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        process = _process.get() if context is None else context.get(_process)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        gate = _Gate(process, callback, args, is_timer=True)
        timer = super().call_at(when, gate, context=context)
        gate.handle = timer
        return timer

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: nothing outside takes part."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody needs to be woken."""

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A task that died unseen is a defect of the code under test, not a line in a log."""
        failure = context.get("exception") or AssertionError(str(context.get("message")))
        self.failures.append(failure)


def _owned_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **how: Any
) -> asyncio.Task[Any]:
    task = asyncio.Task(coroutine, loop=loop, **how)
    process = _process.get()
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(process.tasks.pop)
    return task


class _Gate:
    """A callback of a process: kept while the process is stopped, dropped when it was cancelled meanwhile."""

    __slots__ = ("arguments", "callback", "handle", "is_timer", "process")

    def __init__(
        self, process: Process, callback: Callable[..., Any], arguments: tuple[Any, ...], *, is_timer: bool
    ) -> None:
        self.process = process
        self.callback = callback
        self.arguments = arguments
        self.is_timer = is_timer
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        if self.process.stopped:
            self.process.hold(self)
        elif not (self.is_timer and self.process.killed) and not (self.handle and self.handle.cancelled()):
            self.callback(*self.arguments)


def run_virtually(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Runs one coroutine to its end in virtual time, and fails with what any task of it failed with."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(main())
        if loop.failures:
            raise loop.failures[0]
        return result
    finally:
        asyncio.set_event_loop(None)
        loop.close()
