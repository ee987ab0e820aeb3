"""From a trace to what a replay has to do: per room one list of deeds, with times.

Two orders are needed. Played open loop, deeds stand as they were *asked*: at the time of the command. Played
to be compared, they stand as they were *decided*: a node answers the commands of a room in the order it
decided them, so a command stands where its ack stood, and everything nobody asked for (a timeout, a lost
connection's seat) stands as an `Await` before what came after it.
"""

from collections import Counter, deque
from typing import Any

import msgspec

from loadtests.traces.format import (
    Ack,
    Command,
    Connect,
    Disconnect,
    Event,
    Fields,
    Met,
    RoomStart,
    Trace,
)


class Arrive(msgspec.Struct, frozen=True):
    t: float
    client: str
    user: str
    role: str
    standing: bool
    again: bool


class Ask(msgspec.Struct, frozen=True):
    t: float
    client: str
    name: str
    fields: Any
    # What was answered; None when the answer never came.
    answer: Fields | None


class Depart(msgspec.Struct, frozen=True):
    t: float
    client: str
    on_purpose: bool


class Await(msgspec.Struct, frozen=True):
    """Something the server did by itself: wait until it has done it as often here."""

    t: float
    sign: tuple[str, ...]
    times: int


Deed = Arrive | Ask | Depart | Await


class RoomPlan(msgspec.Struct):
    room: str
    start: RoomStart
    deeds: list[Deed]
    end: Fields | None
    chat_count: int
    # Seconds of the trace at which the room's first and last deeds stand.
    seconds: float


class Plan(msgspec.Struct, frozen=True):
    rooms: list[RoomPlan]
    gifts: list[Fields]
    # user alias -> (role when first seen, coins it must have had, or None when it never paid)
    users: dict[str, tuple[str, int | None]]
    seconds: float
    commands: dict[str, int]
    clients: int


def sign_of(name: str, body: Any, users: dict[str, str] | None = None) -> tuple[str, ...] | None:
    """What marks an event that the server made by itself, in words that hold in every replay; None for
    events that somebody asked for. `users` translates the ids of this replay back to aliases."""
    if not isinstance(body, dict) or body.get("by") is not None:
        return None
    names = users or {}
    if name == "seat:changed":
        places = [
            f"{seat['index']}:{names.get(_sitter(seat), _sitter(seat))}:{seat['away']}"
            for seat in body["seats"]
        ]
        return (name, str(body["cause"]), *sorted(places))
    if name in ("seat:request_resolved", "seat:invite_resolved") and body["result"] == "expired":
        user_id = str(body["user_id"])
        return (name, names.get(user_id, user_id), "expired")
    return None


def _sitter(seat: Fields) -> str:
    return str(seat["user"]["user_id"]) if seat.get("user") else "-"


class _Reader:
    """Sorts the lines of a trace into rooms.

    A room that was alive when the recording began was looked at while its lines were already coming in: what
    was decided up to the snapshot's seq is in the snapshot, and is not done again. `included` holds, for such
    a room, the number of the last line that the snapshot covers.
    """

    def __init__(self, trace: Trace, in_order: bool, max_gap: float | None):
        self.trace, self.in_order, self.max_gap = trace, in_order, max_gap
        self.rooms = {
            name: RoomPlan(name, start, [], None, 0, 0.0) for name, start in trace.header.rooms.items()
        }
        self.included = dict.fromkeys(self.rooms, -1)
        self.room_of: dict[str, str] = {}
        self.user_of: dict[str, str] = {}
        self.asked: dict[tuple[str, int | None], Command] = {}
        self.answers: dict[tuple[str, int | None], deque[tuple[int, Ack]]] = {}
        self.users: dict[str, tuple[str, int | None]] = {}
        self.signs: dict[str, Counter[tuple[str, ...]]] = {}
        self.last_seq: dict[str, int] = {}
        self.commands: Counter[str] = Counter()
        self.shift, self.last_time = 0.0, 0.0

    def time(self, t: float) -> float:
        """The time with long silences cut to `max_gap`."""
        gap = t - self.last_time
        if self.max_gap is not None and gap > self.max_gap:
            self.shift += gap - self.max_gap
        self.last_time = max(self.last_time, t)
        return t - self.shift

    def put(self, room: str, deed: Deed) -> None:
        plan = self.rooms[room]
        plan.deeds.append(deed)
        plan.seconds = max(plan.seconds, deed.t)

    def read(self) -> Plan:
        self._look_ahead()
        for number, line in enumerate(self.trace.lines):
            self.line(number, line, self.time(getattr(line, "t", 0.0)))
        for place, command in self.asked.items():
            self.put(self.room_of[place[0]], Ask(self.time(command.t), command.c, command.e, command.a, None))
        for name, plan in self.rooms.items():
            end = self.trace.end.rooms.get(name)
            whole = end is not None and end.get("seq") == self.last_seq.get(name, end.get("seq"))
            plan.end = end if whole else None
        seconds = max((plan.seconds for plan in self.rooms.values()), default=0.0)
        rooms = [plan for plan in self.rooms.values() if plan.deeds]
        gifts, clients = self.trace.end.gifts, len(self.room_of)
        return Plan(rooms, gifts, self.users, seconds, dict(self.commands), clients)

    def _look_ahead(self) -> None:
        """Which acks there are, and how far the first snapshots reach."""
        for number, line in enumerate(self.trace.lines):
            if isinstance(line, Ack):
                self.answers.setdefault((line.c, line.i), deque()).append((number, line))
            elif isinstance(line, Event) and line.r in self.included:
                seq = line.b.get("seq") if isinstance(line.b, dict) else None
                if seq is not None and seq <= self.rooms[line.r].start.snapshot.get("seq", 0):
                    self.included[line.r] = number

    def is_included(self, room: str, number: int) -> bool:
        return number <= self.included.get(room, -1)

    def line(self, number: int, line: Any, t: float) -> None:
        if isinstance(line, Met):
            self.rooms[line.r] = RoomPlan(line.r, line.start, [], None, 0, 0.0)
        elif isinstance(line, Connect) and line.r in self.rooms:
            self.connect(number, line, t)
        elif isinstance(line, Disconnect) and line.c in self.room_of:
            self.put(self.room_of[line.c], Depart(t, line.c, line.why == "client disconnect"))
        elif isinstance(line, Command) and line.c in self.room_of:
            self.command(line, t)
        elif isinstance(line, Ack) and line.c in self.room_of:
            self.ack(number, line, t)
        elif isinstance(line, Event) and line.r in self.rooms:
            self.event(number, line, t)

    def connect(self, number: int, line: Connect, t: float) -> None:
        again = line.c in self.room_of
        standing = line.standing or (not again and self.is_included(line.r, number))
        self.room_of[line.c], self.user_of[line.c] = line.r, line.u
        self.users.setdefault(line.u, (line.role, None))
        self.put(line.r, Arrive(t, line.c, line.u, line.role, standing, again))

    def command(self, line: Command, t: float) -> None:
        self.commands[line.e] += 1
        place = (line.c, line.i)
        waiting = self.answers.get(place)
        if not waiting:
            self.put(self.room_of[line.c], Ask(t, line.c, line.e, line.a, None))
        elif self.in_order:
            self.asked[place] = line
        else:
            number, answer = waiting.popleft()
            self.decided(number, line, answer, t)

    def ack(self, number: int, line: Ack, t: float) -> None:
        command = self.asked.pop((line.c, line.i), None)
        if command is not None:
            self.decided(number, command, line, t)

    def decided(self, number: int, command: Command, answer: Ack, t: float) -> None:
        """A command with its answer, which stood on line `number`."""
        room = self.room_of[command.c]
        if not self.is_included(room, number):
            self.put(room, Ask(t, command.c, command.e, command.a, answer.b))
            self.paid(command, answer.b)

    def paid(self, command: Command, answer: Any) -> None:
        """What the sender must have had before its first gift."""
        user = self.user_of[command.c]
        role, coins = self.users[user]
        if command.e != "gift:send" or coins is not None or not answer:
            return
        data, error = answer.get("data") or {}, answer.get("error") or {}
        if "balance" in data:
            self.users[user] = (role, data["balance"] + data["total_cost"])
        elif error.get("code") == "INSUFFICIENT_FUNDS":
            self.users[user] = (role, int((error.get("details") or {}).get("available", 0)))

    def event(self, number: int, line: Event, t: float) -> None:
        assert line.r is not None
        plan = self.rooms[line.r]
        if isinstance(line.b, dict) and isinstance(line.b.get("seq"), int):
            self.last_seq[line.r] = line.b["seq"]
        if self.is_included(line.r, number):
            return
        plan.chat_count += line.e == "chat:message"
        sign = sign_of(line.e, line.b)
        if sign is not None and self.in_order:
            counts = self.signs.setdefault(line.r, Counter())
            counts[sign] += 1
            plan.deeds.append(Await(t, sign, counts[sign]))


def planned(trace: Trace, *, in_order: bool, max_gap: float | None = None) -> Plan:
    return _Reader(trace, in_order, max_gap).read()
