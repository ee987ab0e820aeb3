"""What a player notes while a user plays, whichever machinery plays it: asyncio or gevent.

The order check follows the seq of the user's room: a missing or doubled event is counted, a fresh snapshot
starts anew.
"""

import math
import time
from collections.abc import Callable
from typing import Any

from loadtests.clients.rest import Response
from loadtests.measures import Measures
from loadtests.traffic.steps import Call, Outcome, Send, User


class Stage:
    """What the players of a process share: the clock, the measures, the server's URL."""

    def __init__(self, url: str, measures: Measures):
        self.url, self.measures = url, measures
        self.started = time.monotonic()
        self.online = 0
        self.over = False

    def begin(self) -> None:
        self.started = time.monotonic()

    def clock(self) -> float:
        return time.monotonic() - self.started


class OrderCheck:
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


class Observation:
    """One user's observations. `samples_latency`: the delay of each event heard is recorded too."""

    def __init__(self, stage: Stage, user: User, samples_latency: bool):
        self.stage, self.user, self.measures = stage, user, stage.measures
        self.samples_latency = samples_latency
        self.order = OrderCheck(user, stage.measures)
        # What was said while the user was away comes late by its nature: its delay says nothing.
        self.there_since = math.inf

    def waited(self, until: float) -> None:
        clock = self.stage.clock()
        self.measures.success("lag", clock, max(0.0, clock - until))

    def connected(self, due: float, recovered: bool) -> Outcome:
        clock = self.stage.clock()
        self.stage.online += 1
        self.there_since = time.time()
        self.measures.success("connect", clock, clock - due)
        if not recovered:
            self.order.joined = False
        return Outcome({"recovered": recovered})

    def failed(self, name: str, code: str, problem: object) -> Outcome:
        self.measures.failed(name, self.stage.clock(), code, str(problem)[:300])
        return Outcome(code=code)

    def noticed(self, step: Call) -> Callable[[Any], None] | None:
        """What has to be noted before the next event is heard: where a join stands in the room's order."""
        return self._joined if step.name in ("room:join", "room:sync") else None

    def _joined(self, answer: Any) -> None:
        if answer.get("ok"):
            self.order.placed(answer["data"]["epoch"], answer["data"]["seq"])

    def answered(self, step: Call, due: float, answer: Any) -> Outcome:
        clock = self.stage.clock()
        if answer.get("ok"):
            data = answer.get("data") or {}
            self.measures.success(step.name, clock, clock - due)
            return Outcome(data)
        error = answer.get("error") or {}
        return self._refused(step.name, step, due, str(error.get("code", "MALFORMED")), error)

    def responded(self, step: Send, due: float, response: Response) -> Outcome:
        clock, label = self.stage.clock(), step.request.label
        if response.succeeded:
            self.measures.success(label, clock, clock - due)
            return Outcome(response.body)
        return self._refused(label, step, due, response.code, response.body)

    def _refused(self, name: str, step: Call | Send, due: float, code: str, details: Any) -> Outcome:
        clock = self.stage.clock()
        if code in step.reckoned:
            self.measures.refused(name, clock, clock - due, code)
        else:
            self.measures.failed(name, clock, code, str(details)[:300])
        return Outcome(details, code)

    def heard(self, name: str, body: Any) -> None:
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
        at = body["at"] / 1000
        if self.samples_latency and at >= self.there_since:
            delay = max(0.0, time.time() - at)
            self.measures.success(f"event {name}", self.stage.clock(), delay)

    def away(self) -> None:
        self.there_since = math.inf

    def lost(self, reason: str) -> bool:
        """-> whether the user should come back: it had not asked for the end."""
        self.stage.online -= 1
        self.away()
        if self.stage.over or self.stage.clock() >= self.user.leaves:
            return False
        self.measures.failed("connection", self.stage.clock(), "LOST", reason)
        return True
