"""One client of a trace, playing. Its deeds stay in their order: what comes while it connects, waits for an
id, or has yet to leave, waits behind.

It leaves when it has its answers: a client of the recording that left after an answer must not, on a slower
server or at a higher speed, leave before it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from loadtests.clients.connection import Refused
from loadtests.clients.streams import Connection
from loadtests.traces.format import Fields
from loadtests.traffic.observing import Stage


class Actor:
    def __init__(self, stage: Stage, token: str):
        self.stage, self.token = stage, token
        self.connection = Connection(stage.url, token, self)
        self.waiting_deeds: deque[Callable[[], None]] = deque()
        self.opening: asyncio.Task[None] | None = None
        self.learning: asyncio.Task[None] | None = None
        self.is_connecting = False
        self.unanswered = 0
        # How it will leave, once it has its answers.
        self.departure: bool | None = None
        self.epoch: str | None = None
        self.seq: int | None = None

    @property
    def is_held(self) -> bool:
        return self.is_connecting or self.learning is not None or self.departure is not None

    def do(self, deed: Callable[[], None]) -> None:
        """Now, or in its turn when something is awaited."""
        if self.is_held:
            self.waiting_deeds.append(deed)
        else:
            deed()

    def _catch_up(self) -> None:
        while self.waiting_deeds and not self.is_held:
            self.waiting_deeds.popleft()()

    def arrive(self, due: float) -> None:
        self.is_connecting = True
        self.opening = asyncio.get_running_loop().create_task(self._open(due))

    async def opened(self) -> None:
        if self.opening is not None:
            await self.opening

    async def _open(self, due: float) -> None:
        measures = self.stage.measures
        try:
            await self.connection.connect()
        except (Refused, OSError, TimeoutError) as problem:
            code = problem.code if isinstance(problem, Refused) else type(problem).__name__
            measures.failed("connect", self.stage.clock(), code, str(problem))
        else:
            self.stage.online += 1
            measures.success("connect", self.stage.clock(), self.stage.clock() - due)
        self.is_connecting = False
        self._catch_up()

    def learn(self, knowing: Coroutine[Any, Any, None]) -> None:
        """Hold everything back until this is known."""

        def known(_task: "asyncio.Task[None]") -> None:
            self.learning = None
            self._catch_up()

        self.learning = asyncio.get_running_loop().create_task(knowing)
        self.learning.add_done_callback(known)

    def expect_answer(self) -> None:
        self.unanswered += 1

    def answered(self) -> None:
        self.unanswered -= 1
        self._leave_if_answered()

    def ask(self, name: str, fields: Any, on_answer: Callable[[Fields | None], None]) -> None:
        if self.connection.connected:
            self.connection.post(name, self._placed(name, fields), on_answer)
        else:
            on_answer(None)

    def _placed(self, name: str, fields: Any) -> Any:
        """The position of the recording means nothing here: a join or sync that resumes does so from what
        this client has seen."""
        if name in ("room:join", "room:sync") and isinstance(fields, dict) and "epoch" in fields:
            return {**fields, "epoch": self.epoch or fields["epoch"], "last_seq": self.seq or 0}
        return fields

    def depart(self, on_purpose: bool) -> None:
        self.departure = on_purpose
        self._leave_if_answered()

    def _leave_if_answered(self) -> None:
        if self.departure is not None and not self.unanswered:
            on_purpose, self.departure = self.departure, None
            self.go(on_purpose)
            self._catch_up()

    def go(self, on_purpose: bool) -> None:
        """Leave now."""
        if self.connection.connected:
            self.stage.online -= 1
        if on_purpose:
            self.connection.leave()
        else:
            self.connection.leaving = True
            self.connection.drop()

    # Observer
    def on_event(self, _connection: Connection, _name: str, body: Any, _position: str | None) -> None:
        self.stage.measures.counters["events"] += 1
        if isinstance(body, dict) and isinstance(body.get("seq"), int):
            self.seq = body["seq"]

    def on_lost(self, _connection: Connection, reason: str) -> None:
        self.stage.online -= 1
        self.stage.measures.counters[f"closed by server: {reason}"] += 1
