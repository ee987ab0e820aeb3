"""Plays one user's script, on the machinery of the connection it is given: asyncio's or gevent's.

A user who loses the connection without having asked for it comes back the way a client library does, with
growing pauses; the loss is an error of the run, whatever follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loadtests.clients.connection import Connection, Lost, Refused
from loadtests.clients.rest import UNREACHABLE, RestCalls
from loadtests.traffic.behaviours import script_of
from loadtests.traffic.observing import Observation, Stage
from loadtests.traffic.steps import Call, Connect, Drop, Leave, Outcome, Send, Step, Tell, User, Wait

if TYPE_CHECKING:
    from loadtests.clients.machinery import Task
    from loadtests.traffic.audio import AudioPart

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
NO_OUTCOME = Outcome()


class Player:
    """One user of the run. Also the observer of its connection."""

    def __init__(
        self,
        stage: Stage,
        connection: type[Connection],
        rest: RestCalls,
        user: User,
        samples_latency: bool = True,
        audio: AudioPart | None = None,
    ):
        self.stage, self.rest, self.user, self.audio = stage, rest, user, audio
        self.machinery = connection.machinery
        self.observation = Observation(stage, user, samples_latency)
        self.connection = connection(
            stage.url,
            user.token,
            self,
            parser=user.group.parser,
            entropy=user.random,
            transport=user.group.transport,
            http=rest,
        )
        self.returning: Task | None = None
        self.actions: dict[type, Callable[[Any], Any]] = {
            Wait: self._wait,
            Connect: self._connect,
            Call: self._call,
            Send: self._send,
            Drop: self._drop,
            Leave: self._leave,
            Tell: self._tell,
        }

    async def play(self) -> None:
        """The script, from the user's arrival to its end or to the user's time to leave."""
        script = script_of(self.user)
        await self._sleep_until(self.user.arrives)
        try:
            step = next(script)
            while not self._past(step):
                step = script.send(await self.actions[type(step)](step) or NO_OUTCOME)
        except StopIteration:
            pass
        finally:
            script.close()
            await self._depart()

    def _past(self, step: Step) -> bool:
        over = isinstance(step, Wait) and step.until >= self.user.leaves
        return over or self.stage.over or self.stage.clock() >= self.user.leaves

    async def _depart(self) -> None:
        await self._sleep_until(self.user.leaves)
        if self.returning is not None:
            self.returning.cancel()
        if self.audio is not None:
            self.audio.close()
        self._offline()
        self.connection.leave()

    async def _sleep_until(self, moment: float) -> None:
        while not self.stage.over and (left := moment - self.stage.clock()) > 0:
            await self.machinery.sleep(min(left, 1.0))

    async def _wait(self, step: Wait) -> None:
        await self._sleep_until(step.until)
        self.observation.waited(step.until)

    def _due(self, due: float | None) -> float:
        return self.stage.clock() if due is None else due

    async def _connect(self, step: Connect) -> Outcome:
        due = self._due(step.due)
        try:
            recovered = await self.connection.connect()
        except (Refused, OSError, TimeoutError) as problem:
            code = problem.code if isinstance(problem, Refused) else type(problem).__name__
            return self.observation.failed("connect", code, problem)
        return self.observation.connected(due, recovered)

    async def _call(self, step: Call) -> Outcome:
        due = self._due(step.due)
        try:
            answer = await self.connection.call(step.name, step.fields, notice=self.observation.noticed(step))
        except (Lost, TimeoutError) as problem:
            code = "LOST" if isinstance(problem, Lost) else "TIMEOUT"
            outcome = self.observation.failed(step.name, code, problem)
            await self._pause_if_lost()
            return outcome
        outcome = self.observation.answered(step, due, answer)
        if outcome.done and self.audio is not None and self.audio.is_due(step.name):
            await self.audio.open(self.connection.call)
        return outcome

    async def _send(self, step: Send) -> Outcome:
        due = self._due(step.due)
        try:
            response = await self.rest.send(step.request)
        except UNREACHABLE as problem:
            return self.observation.failed(step.request.label, type(problem).__name__, problem)
        return self.observation.responded(step, due, response)

    async def _drop(self, _step: Drop) -> None:
        self.connection.leaving = True
        self._offline()
        self.connection.drop()

    async def _leave(self, _step: Leave) -> None:
        self._offline()
        self.connection.leave()

    async def _tell(self, step: Tell) -> None:
        self.stage.measures.counters[step.counter] += step.amount

    async def _pause_if_lost(self) -> None:
        """A call that failed because the connection is away waits for the return, not to fail in a loop."""
        if self.returning is not None and not self.connection.connected:
            await self.returning.wait(LONGEST_PAUSE_SECONDS)

    def _offline(self) -> None:
        self.observation.away()
        if self.connection.connected:
            self.stage.online -= 1

    # Observer
    def on_event(self, _connection: Connection, name: str, body: Any, _position: str | None) -> None:
        self.observation.heard(name, body)

    def on_lost(self, _connection: Connection, reason: str) -> None:
        if self.observation.lost(reason):
            self.returning = self.machinery.start(self._come_back())

    async def _come_back(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self.stage.over and self.stage.clock() < self.user.leaves:
            await self.machinery.sleep(pause * (0.5 + self.user.random.random()))
            outcome = await self._connect(Connect())
            if outcome.done:
                if not outcome.data["recovered"] and self.user.epoch is not None:
                    position = {"epoch": self.user.epoch, "last_seq": self.user.seq}
                    await self._call(Call("room:join", position))
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
