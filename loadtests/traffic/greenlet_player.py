"""Plays one user's script on gevent, for locust. The same scripts and observations as `player.py`.

Import only where gevent has patched the standard library (locust does).
"""

from collections.abc import Callable
from typing import Any

import gevent
import msgspec
import requests

from loadtests.clients.greenlets import Connection
from loadtests.clients.rest import Request, Response
from loadtests.clients.streams import Lost, Refused
from loadtests.traffic.behaviours import SPENDERS, script_of
from loadtests.traffic.observing import Observation, Stage
from loadtests.traffic.player import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, NO_OUTCOME
from loadtests.traffic.scenario import Scenario
from loadtests.traffic.steps import Call, Connect, Drop, Leave, Outcome, Send, Step, Tell, User, Wait

TIMEOUT_SECONDS = 10.0


class Rest:
    """REST over `requests`, which blocks only its greenlet."""

    def __init__(self, url: str, service_key: str):
        self.url, self.service_key, self.session = url.rstrip("/"), service_key, requests.Session()

    def send(self, request: Request) -> Response:
        data = None if request.body is None else msgspec.json.encode(request.body)
        answer = self.session.request(
            request.method,
            self.url + request.path,
            data=data,
            headers=request.headers(),
            timeout=TIMEOUT_SECONDS,
        )
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return Response(answer.status_code, answer.json() if is_json else answer.text)

    def required(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        response = self.send(Request(method, path, body, self.service_key, key))
        if not response.succeeded:
            raise RuntimeError(f"{method} {path}: {response.status} {response.body}")
        return response.body["data"]


def equip(scenario: Scenario, rest: Rest, user: User) -> None:
    """A token, and coins for a spender."""
    claims = {"user_id": user.user_id, "role": user.group.role, "name": user.user_id, "ttl_s": 3600}
    user.token = rest.required("POST", f"/v1/rooms/{user.room_id}/tokens", claims)["token"]
    if user.group.behaviour in SPENDERS:
        credit = {
            "amount": scenario.money.coins,
            "currency": "coins",
            "reason": "load test",
            "reference": f"load-{user.user_id}",
        }
        rest.required("POST", f"/v1/users/{user.user_id}/credits", credit, f"credit-{user.user_id}")


class Player:
    """One user of the run; the observer of its connection."""

    def __init__(self, stage: Stage, rest: Rest, user: User, samples_latency: bool = True):
        self.stage, self.rest, self.user = stage, rest, user
        if user.group.audio:
            raise NotImplementedError("audio users play on asyncio only: run the scenario without --workers")
        self.observation = Observation(stage, user, samples_latency)
        self.connection = Connection(
            stage.url, user.token, self, parser=user.group.parser, entropy=user.random
        )
        self.returning: Any = None
        self.actions: dict[type, Callable[[Any], Any]] = {
            Wait: self._wait,
            Connect: self._connect,
            Call: self._call,
            Send: self._send,
            Drop: self._drop,
            Leave: self._leave,
            Tell: self._tell,
        }

    def play(self) -> None:
        script = script_of(self.user)
        self._sleep_until(self.user.arrives)
        try:
            step = next(script)
            while not self._past(step):
                step = script.send(self.actions[type(step)](step) or NO_OUTCOME)
        except StopIteration:
            pass
        finally:
            script.close()
            self._depart()

    def _past(self, step: Step) -> bool:
        over = isinstance(step, Wait) and step.until >= self.user.leaves
        return over or self.stage.over or self.stage.clock() >= self.user.leaves

    def _depart(self) -> None:
        self._sleep_until(self.user.leaves)
        if self.returning is not None:
            self.returning.kill(block=False)
        self._leave(Leave())

    def _sleep_until(self, moment: float) -> None:
        while not self.stage.over and (left := moment - self.stage.clock()) > 0:
            gevent.sleep(min(left, 1.0))

    def _wait(self, step: Wait) -> None:
        self._sleep_until(step.until)
        self.observation.waited(step.until)

    def _due(self, due: float | None) -> float:
        return self.stage.clock() if due is None else due

    def _connect(self, step: Connect) -> Outcome:
        due = self._due(step.due)
        try:
            recovered = self.connection.connect()
        except (Refused, OSError, gevent.Timeout) as problem:
            code = problem.code if isinstance(problem, Refused) else type(problem).__name__
            return self.observation.failed("connect", code, problem)
        return self.observation.connected(due, recovered)

    def _call(self, step: Call) -> Outcome:
        due = self._due(step.due)
        try:
            answer = self.connection.call(step.name, step.fields, notice=self.observation.noticed(step))
        except (Lost, TimeoutError, OSError) as problem:
            outcome = self.observation.failed(step.name, type(problem).__name__.upper(), problem)
            if self.returning is not None and not self.connection.connected:
                self.returning.join(timeout=LONGEST_PAUSE_SECONDS)
            return outcome
        return self.observation.answered(step, due, answer)

    def _send(self, step: Send) -> Outcome:
        due = self._due(step.due)
        try:
            response = self.rest.send(step.request)
        except OSError as problem:
            return self.observation.failed(step.request.label, type(problem).__name__, problem)
        return self.observation.responded(step, due, response)

    def _drop(self, _step: Drop) -> None:
        self.connection.leaving = True
        self._offline()
        self.connection.drop()

    def _leave(self, _step: Leave) -> None:
        self._offline()
        self.connection.leave()

    def _tell(self, step: Tell) -> None:
        self.stage.measures.counters[step.counter] += step.amount

    def _offline(self) -> None:
        self.observation.away()
        if self.connection.connected:
            self.stage.online -= 1

    # Observer
    def on_event(self, _connection: Connection, name: str, body: Any, _position: str | None) -> None:
        self.observation.heard(name, body)

    def on_lost(self, _connection: Connection, reason: str) -> None:
        if self.observation.lost(reason):
            self.returning = gevent.spawn(self._come_back)

    def _come_back(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self.stage.over and self.stage.clock() < self.user.leaves:
            gevent.sleep(pause * (0.5 + self.user.random.random()))
            outcome = self._connect(Connect())
            if outcome.done:
                if not outcome.data["recovered"] and self.user.epoch is not None:
                    position = {"epoch": self.user.epoch, "last_seq": self.user.seq}
                    self._call(Call("room:join", position))
                return
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def settle_money(self, coins: int) -> None:
        """The wallet against what was acknowledged."""
        wallet = self.rest.required("GET", f"/v1/users/{self.user.user_id}/wallet")
        if int(wallet["coins"]) != coins - self.user.spent_coins:
            self.stage.measures.counters["money_differences"] += 1
