"""A scenario: rooms, groups of users with a behaviour each, phases in time, and the thresholds to hold.

    name = "chat"
    [rooms]
    count = 2
    [[groups]]
    behaviour = "talker"
    users = 50
    every_seconds = 2.0
    [[phases]]
    kind = "ramp"          # users arrive evenly; "burst": all at once; "hold": nobody comes or goes
    users = 50
    seconds = 10
    [thresholds]
    "chat:send.p95_ms" = { at_most = 200 }

Unknown keys are refused, so that a misspelt threshold is not one that always holds.
"""

import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from loadtests.clients.connection import Transport

SHIPPED = Path(__file__).parent.parent / "scenarios"
Positive = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at_most: float | None = None
    at_least: float | None = None

    def holds(self, value: float) -> bool:
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def __str__(self) -> str:
        bounds = (("<=", self.at_most), (">=", self.at_least))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


class Rooms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many rooms, and the fields of `POST /v1/rooms` that each is made with."""

    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    settings: dict[str, Any] = {}


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Users who behave alike. `every_seconds` is the pause between two actions of one of them."""

    behaviour: str
    users: Count
    role: Literal["member", "admin", "guest"] = "member"
    every_seconds: Positive = 0.0
    parser: Literal["json", "msgpack"] = "json"
    transport: Transport = "websocket"
    audio: Literal["", "speak", "listen"] = ""
    parameters: dict[str, Any] = {}


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`users` is how many are there when the phase ends; a hold keeps what there was."""

    kind: Literal["ramp", "hold", "burst"]
    seconds: Positive
    users: Count | None = None


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each gifting user gets before the start, and the gift they send."""

    coins: Count = 1_000_000
    gift_id: str = "load-rose"
    price: Count = 10


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    title: str
    groups: tuple[Group, ...]
    phases: tuple[Phase, ...]
    rooms: Rooms = Rooms()
    money: Money = Money()
    thresholds: dict[str, Threshold] = {}
    seed: int = 1
    # Errors up to this share of all operations do not fail the run by themselves.
    tolerated_error_ratio: Positive = 0.0
    # Of the events heard, one listener in this many records the latency (all of them check the order).
    latency_sample: Annotated[int, msgspec.Meta(ge=1)] = 10

    @property
    def user_count(self) -> int:
        return sum(group.users for group in self.groups)

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    def scaled(self, users: float = 1.0, time: float = 1.0) -> "Scenario":
        """The same scenario, smaller or larger, shorter or longer; rates per user stay."""

        def number(count: int) -> int:
            return max(1, round(count * users)) if count else 0

        groups = tuple(msgspec.structs.replace(group, users=number(group.users)) for group in self.groups)
        limit = sum(group.users for group in groups)
        phases = tuple(
            msgspec.structs.replace(
                phase,
                seconds=phase.seconds * time,
                users=None if phase.users is None else _share(phase.users, self.user_count, limit),
            )
            for phase in self.phases
        )
        return msgspec.structs.replace(self, groups=groups, phases=phases)


class Misdescribed(Exception):
    """The scenario file cannot be used; the message says where."""


class Stay(msgspec.Struct, frozen=True):
    """When a user arrives and leaves, in seconds since the start."""

    arrives: float
    leaves: float


def _share(users: int, before: int, after: int) -> int:
    return after if users == before else max(1, round(users * after / max(1, before)))


def load(source: str | Path) -> Scenario:
    """Read a scenario by file name (TOML, or the same as JSON), or one of the shipped ones by its name."""
    path = Path(source)
    if not path.suffix:
        path = SHIPPED / f"{source}.toml"
    try:
        text = path.read_text()
        document = msgspec.json.decode(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError as missing:
        names = ", ".join(sorted(shipped.stem for shipped in SHIPPED.glob("*.toml")))
        raise Misdescribed(f"no scenario {source}; shipped: {names}") from missing
    except (tomllib.TOMLDecodeError, msgspec.DecodeError) as problem:
        raise Misdescribed(f"{path}: {problem}") from problem
    return parse(document, str(path))


def parse(document: dict[str, Any], source: str = "scenario") -> Scenario:
    try:
        scenario = msgspec.convert(document, Scenario)
    except msgspec.ValidationError as problem:
        raise Misdescribed(f"{source}: {problem}") from problem
    highest = max((phase.users or 0 for phase in scenario.phases), default=0)
    if highest > scenario.user_count:
        raise Misdescribed(f"{source}: a phase wants {highest} users, the groups have {scenario.user_count}")
    return scenario


def interleaved(scenario: Scenario) -> Iterator[tuple[Group, int]]:
    """The users in order of arrival: (group, number within it), every group in proportion.
    Those of a small group come early, so that the speakers sit when the listeners arrive."""
    order = [
        (number / group.users, position, group, number)
        for position, group in enumerate(scenario.groups)
        for number in range(group.users)
    ]
    for _, _, group, number in sorted(order, key=lambda entry: (entry[0], entry[1])):
        yield group, number


def stays(scenario: Scenario) -> list[Stay]:
    """When each user (in order of arrival) comes and goes. The last to come is the first to go."""
    arrivals: list[float] = []
    stayed: dict[int, Stay] = {}
    clock = 0.0
    for phase in scenario.phases:
        target = len(arrivals) if phase.users is None else phase.users
        missing = target - len(arrivals)
        spread = phase.seconds if phase.kind == "ramp" else 0.0
        for step in range(max(0, missing)):
            arrivals.append(clock + spread * step / missing)
        for step in range(max(0, -missing)):
            stayed[len(arrivals) - 1] = Stay(arrivals.pop(), clock + spread * step / -missing)
        clock += phase.seconds
    return [Stay(arrival, clock) for arrival in arrivals] + [stayed[index] for index in sorted(stayed)]


def entropy(scenario: Scenario, *names: object) -> random.Random:
    """Randomness that depends on the seed and on what it is for, and on nothing else."""
    return random.Random(":".join(map(str, (scenario.seed, *names))))
