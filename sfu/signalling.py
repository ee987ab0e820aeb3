"""The `rtc:*` commands on a node: carried to the worker of the room, answered within a bounded time.

The node remembers which worker serves which of its connections. When a worker dies its clients are told
(`rtc:moved`), and their next commands go to the worker that has the room then.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
import structlog

from sfu.messages import ANSWER, CALL, CLOSED, TELL, Answered, Call, Closed, Tell
from sfu.placement import Announcement, Placement, Registry
from state.commands import Command
from state.media_commands import RtcStats
from state.ports import Answer, Caller, Done
from state.rejections import Code, Rejection, Unavailable
from state.signals import Signals
from state.supervision import repeat

log = structlog.get_logger("sfu.signalling")
WATCH_SECONDS = 0.4
CALLS_WAITING = 10_000


class RtcService:
    """A CommandService for one node."""

    def __init__(
        self, node_id: str, signals: Signals, registry: Registry, placement: Placement, timeout_seconds: float
    ) -> None:
        self._node_id, self._signals = node_id, signals
        self._registry, self._placement = registry, placement
        self._timeout_seconds = timeout_seconds
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answered]] = {}
        self._served: dict[str, tuple[Caller, str]] = {}
        """By connection: who, and by which worker."""
        self._watch: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self.watchers: list[Callable[[Mapping[str, Announcement]], None]] = []
        """Told of the living workers at every look."""
        self._missing: set[str] = set()
        signals.handle(ANSWER, self._on_answer)
        signals.handle(TELL, self._on_tell)

    async def start(self) -> None:
        self._watch = repeat(WATCH_SECONDS, self._look_at_workers)

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    # --- commands ----------------------------------------------------------------------------------------
    async def perform(self, caller: Caller, command: Command) -> Answer:
        if isinstance(command, RtcStats) and await self._placement.holder_of(caller.room_id) is None:
            return Done({"transports": [], "total": 0})
        worker = await self._placement.worker_of(caller.room_id)
        answered = await self._call(worker.worker, caller, command)
        if answered.data is not None:
            self._served[caller.connection_id] = (caller, worker.worker)
            return Done(answered.data)
        return Rejection(Code(answered.code), answered.message)

    async def connection_closed(self, caller: Caller) -> None:
        served = self._served.pop(caller.connection_id, None)
        if served is not None:
            await self._close(served[1], caller, now=False)

    async def hang_up(self, caller: Caller) -> None:
        """End a connection's audio now, from any node."""
        worker = await self._placement.worker_of(caller.room_id)
        self._served.pop(caller.connection_id, None)
        await self._close(worker.worker, caller, now=True)

    async def _close(self, worker: str, caller: Caller, now: bool) -> None:
        await self._signals.to_node(worker, CLOSED, msgspec.to_builtins(Closed(caller, now)))

    async def _call(self, worker: str, caller: Caller, command: Command) -> Answered:
        if len(self._waiting) >= CALLS_WAITING:
            raise Unavailable("too many calls wait for media workers")
        number = next(self._numbers)
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            call = Call(number, self._node_id, caller, command)  # type: ignore[arg-type]
            await self._signals.to_node(worker, CALL, msgspec.to_builtins(call))
            return await asyncio.wait_for(future, self._timeout_seconds)
        except TimeoutError as error:
            raise Unavailable("the media worker does not answer") from error
        finally:
            del self._waiting[number]

    # --- what workers say --------------------------------------------------------------------------------
    def _on_answer(self, _name: str, _connection_id: str | None, body: dict[str, Any]) -> None:
        answered = msgspec.convert(body, Answered)
        future = self._waiting.get(answered.number)
        if future is not None and not future.done():
            future.set_result(answered)

    def _on_tell(self, _name: str, _connection_id: str | None, body: dict[str, Any]) -> None:
        tell = msgspec.convert(body, Tell)
        self._run(self._tell(tell.connections, tell.name, tell.body))

    async def _tell(self, connections: list[str], name: str, body: dict[str, Any]) -> None:
        try:
            for connection in connections:
                await self._signals.to_connection(connection, name, body)
        except Unavailable as failure:
            log.info("clients were not told", event_name=name, reason=str(failure))

    def _run(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    # --- dead workers ------------------------------------------------------------------------------------
    async def _look_at_workers(self) -> None:
        """A worker that is missing twice is dead: one missed announcement is a slow moment."""
        missing, self._missing = self._missing, set()
        living = await self._registry.workers(fresh=True)  # without Redis nobody can be told dead
        for watcher in self.watchers:
            watcher(living)
        self._missing = {worker for _, worker in self._served.values() if worker not in living}
        for worker in self._missing & missing:
            self._moved(worker)

    def _moved(self, worker: str) -> None:
        """Its clients build their transports anew; the next command places the room."""
        lost = [caller for caller, by in self._served.values() if by == worker]
        log.warning("a media worker is gone", worker=worker, connections=len(lost))
        for caller in lost:
            del self._served[caller.connection_id]
            self._run(self._tell([caller.connection_id], "rtc:moved", {"room_id": caller.room_id}))

    async def check(self) -> str | None:
        """None when a worker lives."""
        # None a moment ago is looked at again: a node that starts is ready with its first worker.
        workers = await self._registry.workers() or await self._registry.workers(fresh=True)
        return None if workers else "no media worker is registered"
