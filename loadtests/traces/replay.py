"""Plays a plan against a server.

Open loop (the default): every deed is done at its time divided by the speed, whether or not the server has
answered the ones before it; lateness of the load process is measured as "lag", latency counts from the time
a command was due. A command waits only for ids it needs from earlier acks.

In order (`check`): the deeds of a room are done one after the other as they were decided then; a command of
another connection is sent when the one before it was answered, because their order is part of what is
compared. Refusals that only pace explains (too fast, muted for a while) are tried again.
"""

import asyncio
import time
from typing import Any

import msgspec

from loadtests.clients.streams import Connection
from loadtests.measures import Measures
from loadtests.traces.actor import Actor
from loadtests.traces.comparison import ack_difference, room_differences
from loadtests.traces.format import Fields
from loadtests.traces.names import Names, fields_here
from loadtests.traces.plan import Arrive, Ask, Await, Deed, Depart, RoomPlan, sign_of
from loadtests.traffic.observing import Stage

LEARN_SECONDS = 5.0
AWAIT_SECONDS = 120.0
PACE_SECONDS = 60.0
WATCHER = "watcher"
# Refused now, accepted later: what a faster replay meets where the recording did not.
PACE_CODES = frozenset(
    {"RATE_LIMITED", "CHAT_TOO_FAST", "CHAT_MUTED", "SEAT_COOLDOWN", "UNAVAILABLE", "CONFLICT"}
)
# Recorded refusals that another pace does not give again: not asked again when answers are compared.
UNREPEATABLE_CODES = frozenset({"RATE_LIMITED", "CHAT_TOO_FAST", "UNAVAILABLE", "CONFLICT", "INTERNAL"})


class Pace(msgspec.Struct, frozen=True):
    """How fast, from when, and whether in order. Speed 0 is as fast as it goes."""

    speed: float = 1.0
    check: bool = False
    starts_at: float = 0.0

    def due(self, t: float) -> float:
        return self.starts_at + (t / self.speed if self.speed else 0.0)


class Watcher:
    """A member of the room that sees what the server does by itself."""

    def __init__(self, names: Names):
        self.names = names
        self.seen: dict[tuple[str, ...], int] = {}
        self.changed = asyncio.Event()
        self.last_seq: int | None = None
        self.gaps = 0

    def on_event(self, _connection: Connection, name: str, body: Any, _position: str | None) -> None:
        seq = body.get("seq") if isinstance(body, dict) else None
        if isinstance(seq, int):
            self.gaps += self.last_seq is not None and seq != self.last_seq + 1
            self.last_seq = seq
        sign = sign_of(name, body, self.names.aliases)
        if sign is not None:
            self.seen[sign] = self.seen.get(sign, 0) + 1
            self.changed.set()

    def on_lost(self, _connection: Connection, _reason: str) -> None:
        self.gaps += 1

    async def saw(self, sign: tuple[str, ...], times: int) -> bool:
        deadline = time.monotonic() + AWAIT_SECONDS
        while self.seen.get(sign, 0) < times:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self.changed.wait()
            except TimeoutError:
                return False
        return True


class RoomReplay:
    """One copy of one room, playing its deeds."""

    def __init__(self, stage: Stage, plan: RoomPlan, names: Names, tokens: dict[str, str], pace: Pace):
        self.stage, self.plan, self.names, self.tokens, self.pace = stage, plan, names, tokens, pace
        self.actors: dict[str, Actor] = {}
        self.users: dict[str, str] = {}
        self.pending = 0
        self.settled = asyncio.Event()
        self.settled.set()
        self.last_client: str | None = None
        self.watcher = Watcher(names)
        self.kept: Connection | None = None
        self.differences: list[str] = []

    @property
    def measures(self) -> Measures:
        return self.stage.measures

    async def play(self) -> None:
        for deed in self.plan.deeds:
            due = self.pace.due(deed.t)
            await self._until(due)
            if self.stage.over:
                break
            await self._do(deed, due)
        try:
            async with asyncio.timeout(PACE_SECONDS):
                await self.settled.wait()
        except TimeoutError:
            self.measures.failed("answers", self.stage.clock(), "TIMEOUT", f"{self.pending} never came")
        await asyncio.gather(*(actor.opened() for actor in self.actors.values()))

    async def arrive_standing(self, deed: Arrive) -> None:
        """Somebody who was there before the recording began: connected and joined before the clock runs."""
        self.users[deed.client] = deed.user
        actor = self.actors[deed.client] = Actor(self.stage, self.tokens[deed.user])
        actor.arrive(self.stage.clock())
        await actor.opened()
        answer = await actor.connection.call("room:join", {})
        if answer.get("ok"):
            actor.epoch, actor.seq = answer["data"]["epoch"], answer["data"]["seq"]

    def keep(self, connection: Connection) -> None:
        """The watcher's connection, closed with the others."""
        self.kept = connection

    async def _until(self, due: float) -> None:
        if not self.pace.speed and self.stage.clock() >= due:
            # As fast as it goes: let the loop breathe, so that answers are read meanwhile.
            await asyncio.sleep(0)
            return
        while not self.stage.over and (left := due - self.stage.clock()) > 0:
            await asyncio.sleep(min(left, 1.0))
        self.measures.success("lag", self.stage.clock(), max(0.0, self.stage.clock() - due))

    async def _do(self, deed: Deed, due: float) -> None:
        due = due if self.pace.speed else self.stage.clock()
        if isinstance(deed, Arrive):
            await self._arrive(deed, due)
        elif isinstance(deed, Depart):
            await self._in_turn(None)
            actor = self.actors[deed.client]
            actor.do(lambda: actor.depart(deed.on_purpose))
        elif isinstance(deed, Await):
            if not await self.watcher.saw(deed.sign, deed.times):
                self._differs("event", f"{' '.join(deed.sign)}: did not happen {deed.times} times")
        elif isinstance(deed, Ask):
            await self._ask(deed, due)

    async def _arrive(self, deed: Arrive, due: float) -> None:
        if deed.standing and deed.client in self.actors:
            return
        await self._in_turn(None)
        actor = self.actors.get(deed.client)
        if actor is None:
            self.users[deed.client] = deed.user
            actor = self.actors[deed.client] = Actor(self.stage, self.tokens[deed.user])
        actor.do(lambda: actor.arrive(due))
        if self.pace.check or not self.pace.speed:
            await actor.opened()

    async def _in_turn(self, client: str | None) -> None:
        """When answers are compared: the one before, if another's, has been answered."""
        if self.pace.check and (client is None or client != self.last_client):
            await self.settled.wait()
        self.last_client = client

    async def _ask(self, ask: Ask, due: float) -> None:
        if self.pace.check and _code(ask.answer) in UNREPEATABLE_CODES:
            self.measures.counters["not asked again"] += 1
            return
        await self._in_turn(ask.client)
        actor = self.actors[ask.client]
        self._pending(1)
        unknown = self.names.unknown(ask.fields)
        if unknown and not self.pace.check:
            actor.do(lambda: actor.learn(self.names.learnt(unknown, LEARN_SECONDS)))
        actor.do(lambda: self._send_first(actor, ask, due))

    def _pending(self, change: int) -> None:
        self.pending += change
        if self.pending:
            self.settled.clear()
        else:
            self.settled.set()

    def _send_first(self, actor: Actor, ask: Ask, due: float) -> None:
        actor.expect_answer()
        self._send(actor, ask, due, time.monotonic())

    def _send(self, actor: Actor, ask: Ask, due: float, first_asked: float) -> None:
        fields = fields_here(self.names, ask.name, ask.fields, ask.answer, actor.token)

        def on_answer(answer: Fields | None) -> None:
            if answer is not None and self._is_only_pace(ask, answer, first_asked):
                wait = ((answer.get("error") or {}).get("retry_after_ms") or 100) / 1000
                self.measures.counters["held back by the server"] += 1
                again = (actor, ask, due, first_asked)
                asyncio.get_running_loop().call_later(wait, self._send, *again)
                return
            self._pending(-1)
            self._answered(actor, ask, answer, due)
            actor.answered()

        actor.ask(ask.name, fields, on_answer)

    def _is_only_pace(self, ask: Ask, answer: Fields, first_asked: float) -> bool:
        code = _code(answer)
        same = ask.answer is not None and _code(ask.answer) == code
        return code in PACE_CODES and not same and time.monotonic() - first_asked < PACE_SECONDS

    def _answered(self, actor: Actor, ask: Ask, answer: Fields | None, due: float) -> None:
        clock = self.stage.clock()
        if answer is None:
            if ask.answer is not None:
                self.measures.failed(ask.name, clock, "LOST")
                self._differs(ask.name, "was answered, is not")
            return
        if ask.answer is not None:
            self.names.learn(ask.answer.get("data"), answer.get("data"))
        if ask.name in ("room:join", "room:sync") and answer.get("ok"):
            actor.epoch, actor.seq = answer["data"]["epoch"], answer["data"]["seq"]
        code = _code(answer)
        if code is None:
            self.measures.success(ask.name, clock, clock - due)
        elif ask.answer is None or _code(ask.answer) is not None:
            self.measures.refused(ask.name, clock, clock - due, code)
        else:
            self.measures.failed(ask.name, clock, code, str(answer)[:300])
        if self.pace.check and ask.answer is not None:
            told = ack_difference(ask.answer, self.names.back(answer))
            if told is not None:
                self._differs(ask.name, f"{ask.client} at {ask.t:.3f} s {told}")

    def _differs(self, what: str, told: str) -> None:
        if self.pace.check:
            self.differences.append(f"{self.plan.room}: {what}: {told}")

    def compare_end(self, snapshot: Fields) -> None:
        if self.plan.end is None:
            return
        actual = self.names.back(snapshot)
        for told in room_differences(self.plan.end, actual, self.plan.chat_count):
            self._differs("end state", told)

    def close(self) -> None:
        for actor in self.actors.values():
            actor.go(on_purpose=True)
        if self.kept is not None:
            self.kept.leave()


def _code(answer: Fields | None) -> str | None:
    if answer is None or answer.get("ok"):
        return None
    return str((answer.get("error") or {}).get("code", "MALFORMED"))
