"""An event loop whose clock jumps, and processes that live on it and can be stopped or killed.

Time passes only when nothing else is left to do. Ready callbacks run in the order in which they became ready
and timers in the order of their times, so a run is a function of its seed. A loop that would wait for ever is
a deadlock of the code under test and says so.

What runs in the context of a `Process` belongs to it: while it is stopped none of its callbacks run, as under
SIGSTOP, and they run afterwards in their order; when it is killed its timers are dropped and its tasks end.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple, Unpack

Result = TypeVar("Result")
OUTSIDE = contextvars.Context()
_Arguments = TypeVarTuple("_Arguments")
_ROUNDS = 50  # so often a task may take up something new when it is told to end
_TASKS_UNSORTED = 64


class Deadlock(AssertionError):
    """Nothing is scheduled, and something is still awaited."""


class Process:
    """A share of the loop that stops, goes on and dies as a whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = False
        self.killed = False
        self.context = contextvars.Context()
        self.context.run(_process.set, self)
        self._tasks: list[asyncio.Task[Any]] = []  # in order: a run is a function of its seed
        self._crowded = _TASKS_UNSORTED

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Runs a coroutine as part of this process."""
        loop = asyncio.get_running_loop()
        return self.context.run(loop.create_task, coroutine)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """A task of this process. Those that are done are sorted out now and then, not one by one."""
        self._tasks.append(task)
        if len(self._tasks) > self._crowded:
            self._tasks = self._living()
            self._crowded = 2 * len(self._tasks) + _TASKS_UNSORTED

    def _living(self) -> list[asyncio.Task[Any]]:
        return [task for task in self._tasks if not task.done()]

    def stop(self) -> None:
        self.stopped = True

    def go_on(self) -> None:
        self.stopped = False
        loop: Any = asyncio.get_running_loop()
        loop.take_up(self)

    async def kill(self) -> None:
        """Nothing of it goes on. What it does while it falls must not be seen by others: cut it off first."""
        self.killed = True
        self.go_on()
        for _round in range(_ROUNDS):
            self._tasks = self._living()
            if not self._tasks:
                return
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        raise AssertionError(f"{self.name} does not end: {self._tasks}")


_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Defects(logging.Handler):
    """What the code under test logs as an error it has outlived; here nothing may need that."""

    def emit(self, record: logging.LogRecord) -> None:
        loop: Any = asyncio.get_running_loop()
        failure = record.exc_info[1] if record.exc_info else None
        loop.failures.append(failure or AssertionError(record.getMessage()))


class _Handle(asyncio.TimerHandle):
    """A callback in its context, and whose it is. A run makes millions: it has the least that is needed."""

    __slots__ = ("arguments", "callback", "context", "is_off", "process", "time")

    def __init__(
        self,
        callback: Callable[..., Any],
        arguments: tuple[Any, ...],
        context: contextvars.Context | None,
        time: float | None = None,
    ) -> None:
        self.callback = callback
        self.arguments = arguments
        self.context = contextvars.copy_context() if context is None else context
        self.process = self.context.get(_process)
        self.time = time
        self.is_off = False

    def cancel(self) -> None:
        self.is_off = True

    def cancelled(self) -> bool:
        return self.is_off

    def when(self) -> float:
        return self.time or 0.0


class VirtualLoop(asyncio.BaseEventLoop):
    """BaseEventLoop starts and stops it; what is due, and when, is told here."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._due: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._serials = itertools.count()
        self._held: dict[Process, list[_Handle]] = {}
        self._stopping = False
        self._is_ending = False
        self.failures: list[BaseException] = []
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        return self._now

    def call_soon(
        self,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: *_Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, context)
        self._due.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: *_Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = _Handle(callback, args, context, when)
        heapq.heappush(self._timers, (when, next(self._serials), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Arguments]], object],
        *args: *_Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_task(self, coro: Any, **how: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **how)
        process = _process.get()
        if process is not None:
            process.adopt(task)
        return task

    def take_up(self, process: Process) -> None:
        """What was held back while it was stopped is due."""
        self._due.extend(self._held.pop(process, ()))

    def _run_once(self) -> None:
        """All that is due, and what becomes due by it; then on to the next time."""
        due = self._due
        while due:
            handle = due.popleft()
            process = handle.process
            if handle.is_off:
                continue
            if process is not None:
                if process.stopped and not self._is_ending:
                    self._held.setdefault(process, []).append(handle)
                    continue
                if process.killed and handle.time is not None:
                    continue
            try:
                handle.context.run(handle.callback, *handle.arguments)
            except Exception as failure:
                self.failures.append(failure)
        if not self._stopping:
            self._jump()

    def _jump(self) -> None:
        if self.failures and not self._is_ending:
            raise self.failures[0]
        timers = self._timers
        while timers and timers[0][2].is_off:
            heapq.heappop(timers)
        if not timers:
            raise Deadlock("nothing is scheduled any more")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._due.append(heapq.heappop(timers)[2])

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A task that died unseen is a defect of the code under test, not a line in a log."""
        failure = context.get("exception") or AssertionError(str(context.get("message")))
        self.failures.append(failure)

    def end(self) -> None:
        """Ends what a failure has left, the stopped as well, so that nothing of a run outlives it."""
        self._is_ending = True
        for process in list(self._held):
            self.take_up(process)
        for _round in range(_ROUNDS):
            living = asyncio.all_tasks(self)
            if not living:
                return
            for task in living:
                task.cancel()
            with contextlib.suppress(Deadlock):
                self.run_until_complete(asyncio.wait(living))


def run_virtually(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Runs one coroutine to its end in virtual time, and fails with what any task of it failed with."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    gc.disable()  # what died unseen in a cycle is found at the end, not by chance
    try:
        result = loop.run_until_complete(main())
        gc.collect()
        if loop.failures:
            raise loop.failures[0]
        return result
    finally:
        gc.enable()
        loop.end()
        asyncio.set_event_loop(None)
        loop.close()
