"""Plays one user's script on asyncio, and observes: latencies, refusals, order of events, losses.

A user who loses the connection without having asked for it comes back the way a client library does, with
growing pauses; the loss is an error of the run, whatever follows.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from loadtests.clients.rest import Rest
from loadtests.clients.streams import Connection, Lost, Refused
from loadtests.measures import Measures
from loadtests.traffic.behaviours import script_of
from loadtests.traffic.steps import Call, Connect, Drop, Leave, Outcome, Send, Step, Tell, User, Wait

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
NO_OUTCOME = Outcome()


class Stage:
    """What the players of a process share: the clock, the measures, the REST pool, the server's URL."""

    def __init__(self, url: str, rest: Rest, measures: Measures, latency_sample: int = 10):
        self.url, self.rest, self.measures, self.latency_sample = url, rest, measures, latency_sample
        self.started = time.monotonic()
        # Server clock minus ours, from sys:time; set by the run when the server is on another machine.
        self.clock_offset_ms = 0.0
        self.online = 0
        self.over = False

    def begin(self) -> None:
        self.started = time.monotonic()

    def clock(self) -> float:
        return time.monotonic() - self.started


class OrderCheck:
    """Follows the seq of one user's room: missing or doubled events are counted, resets are followed."""

    def __init__(self, user: User, measures: Measures):
        self.user, self.measures, self.joined = user, measures, False

    def placed(self, epoch: str, seq: int) -> None:
        self.user.epoch, self.user.seq, self.joined = epoch, seq, True

    def heard(self, seq: int) -> None:
        last = self.user.seq
        if not self.joined or last is None:
            return
        if seq == last + 1:
            self.user.seq = seq
        elif seq <= last:
            self.measures.counters["seq_repeats"] += 1
        else:
            self.measures.counters["seq_gaps"] += 1
            self.user.seq = seq


class Player:
    """One user of the run. Also the observer of its connection."""

    def __init__(self, stage: Stage, user: User, observe_latency: bool = True):
        self.stage, self.user, self.measures = stage, user, stage.measures
        self.observe_latency = observe_latency
        self.connection = Connection(
            stage.url, user.token, self, parser=user.group.parser, entropy=user.random
        )
        self.order = OrderCheck(user, stage.measures)
        self.returning: asyncio.Task[None] | None = None
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
        self._offline()
        self.connection.leave()

    async def _sleep_until(self, moment: float) -> None:
        while not self.stage.over and (left := moment - self.stage.clock()) > 0:
            await asyncio.sleep(min(left, 1.0))

    async def _wait(self, step: Wait) -> None:
        await self._sleep_until(step.until)
        self.measures.success("lag", self.stage.clock(), max(0.0, self.stage.clock() - step.until))

    async def _connect(self, step: Connect) -> Outcome:
        due = self.stage.clock() if step.due is None else step.due
        try:
            recovered = await self.connection.connect()
        except (Refused, OSError, TimeoutError) as problem:
            code = problem.code if isinstance(problem, Refused) else type(problem).__name__
            self.measures.failed("connect", self.stage.clock(), code, str(problem))
            return Outcome(code=code)
        self._online()
        self.measures.success("connect", self.stage.clock(), self.stage.clock() - due)
        if not recovered:
            self.order.joined = False
        return Outcome({"recovered": recovered})

    async def _call(self, step: Call) -> Outcome:
        due = self.stage.clock() if step.due is None else step.due
        try:
            answer = await self.connection.call(step.name, step.fields)
        except (Lost, TimeoutError) as problem:
            code = "LOST" if isinstance(problem, Lost) else "TIMEOUT"
            self.measures.failed(step.name, self.stage.clock(), code, str(problem))
            await self._pause_if_lost()
            return Outcome(code=code)
        return self._judged(step, due, answer)

    def _judged(self, step: Call, due: float, answer: Any) -> Outcome:
        clock = self.stage.clock()
        if answer.get("ok"):
            data = answer.get("data") or {}
            self.measures.success(step.name, clock, clock - due)
            if step.name in ("room:join", "room:sync"):
                self.order.placed(data["epoch"], data["seq"])
            return Outcome(data)
        error = answer.get("error") or {}
        code = str(error.get("code", "MALFORMED"))
        if code in step.reckoned:
            self.measures.refused(step.name, clock, clock - due, code)
        else:
            self.measures.failed(step.name, clock, code, str(error)[:300])
        return Outcome(error, code)

    async def _send(self, step: Send) -> Outcome:
        due = self.stage.clock() if step.due is None else step.due
        label = step.request.label
        try:
            response = await self.stage.rest.send(step.request)
        except (OSError, TimeoutError) as problem:
            self.measures.failed(label, self.stage.clock(), type(problem).__name__, str(problem))
            return Outcome(code="UNREACHABLE")
        clock = self.stage.clock()
        if response.succeeded:
            self.measures.success(label, clock, clock - due)
            return Outcome(response.body)
        if response.code in step.reckoned:
            self.measures.refused(label, clock, clock - due, response.code)
        else:
            self.measures.failed(label, clock, response.code, str(response.body)[:300])
        return Outcome(response.body, response.code)

    async def _drop(self, _step: Drop) -> None:
        self.connection.leaving = True
        self._offline()
        self.connection.drop()

    async def _leave(self, _step: Leave) -> None:
        self._offline()
        self.connection.leave()

    async def _tell(self, step: Tell) -> None:
        self.measures.counters[step.counter] += step.amount

    async def _pause_if_lost(self) -> None:
        """A call that failed because the connection is away waits for the return, not to fail in a loop."""
        if self.returning is not None and not self.connection.connected:
            await asyncio.wait([self.returning], timeout=LONGEST_PAUSE_SECONDS)

    def _online(self) -> None:
        self.stage.online += 1

    def _offline(self) -> None:
        if self.connection.connected:
            self.stage.online -= 1

    # Observer
    def on_event(self, _connection: Connection, name: str, body: Any, _position: str | None) -> None:
        self.measures.counters["events"] += 1
        if name in self.user.wanted:
            self.user.heard.append((name, body))
        if name == "room:snapshot":
            self.order.placed(body["snapshot"]["epoch"], body["snapshot"]["seq"])
            return
        seq = body.get("seq") if isinstance(body, dict) else None
        if seq is None or body.get("room_id") != self.user.room_id:
            return
        self.order.heard(seq)
        if self.observe_latency:
            now_ms = time.time() * 1000 + self.stage.clock_offset_ms
            self.measures.success(f"event {name}", self.stage.clock(), max(0.0, (now_ms - body["at"]) / 1000))

    def on_lost(self, _connection: Connection, reason: str) -> None:
        self.stage.online -= 1
        if self.stage.over or self.stage.clock() >= self.user.leaves:
            return
        self.measures.failed("connection", self.stage.clock(), "LOST", reason)
        self.returning = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self.stage.over and self.stage.clock() < self.user.leaves:
            await asyncio.sleep(pause * (0.5 + self.user.random.random()))
            outcome = await self._connect(Connect())
            if outcome.done:
                if not outcome.data["recovered"] and self.user.epoch is not None:
                    position = {"epoch": self.user.epoch, "last_seq": self.user.seq}
                    await self._call(Call("room:join", position))
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
