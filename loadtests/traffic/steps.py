"""What a behaviour asks of whoever plays it, as values; and what it knows of itself.

A behaviour is a generator: it yields a step and is sent the outcome. It never sleeps, reads a clock or
touches a socket, so one script runs on asyncio, on gevent, and in a test without either.

Times are seconds since the run began. A `Call` with `due` was meant to be sent then: its latency is counted
from that moment, also when the load process or the server was late (no coordinated omission).
"""

import random
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import msgspec

from loadtests.clients.conversation import Fields
from loadtests.clients.rest import Request
from loadtests.traffic.scenario import Group

NOTHING: frozenset[str] = frozenset()


class Wait(msgspec.Struct, frozen=True):
    """Do nothing until then."""

    until: float


class Connect(msgspec.Struct, frozen=True):
    """Connect, or come back. The outcome's data is {"recovered": bool}."""

    due: float | None = None


class Call(msgspec.Struct, frozen=True):
    """A command with its ack. Codes in `reckoned` are answers, any other refusal is an error."""

    name: str
    fields: Fields = {}
    due: float | None = None
    reckoned: frozenset[str] = NOTHING


class Send(msgspec.Struct, frozen=True):
    """A REST request."""

    request: Request
    due: float | None = None
    reckoned: frozenset[str] = NOTHING


class Drop(msgspec.Struct, frozen=True):
    """Cut the connection without a goodbye."""


class Leave(msgspec.Struct, frozen=True):
    """Say goodbye."""


class Tell(msgspec.Struct, frozen=True):
    """Count something the script found out."""

    counter: str
    amount: int = 1


Step = Wait | Connect | Call | Send | Drop | Leave | Tell


class Outcome(msgspec.Struct, frozen=True):
    """What became of a step: data when it was done, the code when it was refused or failed."""

    data: Any = None
    code: str | None = None

    @property
    def done(self) -> bool:
        return self.code is None


Script = Generator[Step, Outcome, None]


class User(msgspec.Struct):
    """One user of the run, as its script and its player see it."""

    user_id: str
    room_id: str
    owner_id: str
    token: str
    group: Group
    number: int
    random: random.Random
    gift_id: str
    service_key: str
    arrives: float = 0.0
    leaves: float = 0.0
    # Events the script asked for by name, oldest first; bounded, as a person would not read more.
    wanted: frozenset[str] = NOTHING
    heard: deque[tuple[str, Any]] = msgspec.field(default_factory=lambda: deque(maxlen=100))
    # Position in the room, kept by the player: for coming back without recovery.
    epoch: str | None = None
    seq: int | None = None
    spent_coins: int = 0
    # Where others of the run can be found, for gifts and moderation.
    others: Callable[[str], str | None] = lambda _kind: None

    def first_due(self, clock: float) -> float:
        """The first action of a paced behaviour: the group's members are spread over one pause."""
        return clock + self.group.every_seconds * self.number / max(1, self.group.users)
