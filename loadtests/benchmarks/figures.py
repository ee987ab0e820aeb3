"""What a benchmark says: figures, the limits they are held to, and the report that carries both.

A figure is the median of its runs, because one run on a shared machine proves nothing. Peers are measured
in turn within the same run (ours, theirs, ours, theirs ...), so that a slow minute of the machine falls on
all of them; a ratio is taken per round and its median kept, for the same reason.
"""

import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec

Sample = Mapping[str, float]


class Limit(msgspec.Struct, frozen=True):
    """A bound on a figure and the side on which it holds."""

    bound: float
    direction: Literal["at_most", "at_least"]

    def holds(self, value: float) -> bool:
        return value <= self.bound if self.direction == "at_most" else value >= self.bound


def at_most(bound: float) -> Limit:
    return Limit(bound, "at_most")


def at_least(bound: float) -> Limit:
    return Limit(bound, "at_least")


class Figure(msgspec.Struct, frozen=True):
    """One measured quantity of one subject ("ours", "node", ...)."""

    name: str
    subject: str
    unit: str
    value: float
    runs: tuple[float, ...]


class Report(msgspec.Struct, frozen=True):
    """The figures of one benchmark, with remarks that a reader needs to judge them."""

    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    def with_note(self, note: str) -> "Report":
        return msgspec.structs.replace(self, notes=(*self.notes, note))


class Verdict(msgspec.Struct, frozen=True):
    """A limit, the value it met, and whether it held; `value` is None when the figure is missing."""

    figure: str
    limit: Limit
    value: float | None

    @property
    def held(self) -> bool:
        return self.value is not None and self.limit.holds(self.value)


class Options(msgspec.Struct, frozen=True):
    """How a benchmark is asked to run. `quick` is the size that `./test` and the editor's loop use."""

    repeats: int = 3
    quick: bool = False
    log: bool = True

    def size(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole

    def say(self, text: str) -> None:
        if self.log:
            print(text, file=sys.stderr, flush=True)


def figure(name: str, unit: str, runs: list[float], subject: str = "ours") -> Figure:
    if not runs:
        raise ValueError(f"figure {name} of {subject} has no runs")
    return Figure(name, subject, unit, statistics.median(runs), tuple(runs))


def ratio(name: str, ours: Figure, theirs: Figure) -> Figure:
    """Ours over theirs, round by round; both were measured in the same rounds."""
    runs = [mine / other for mine, other in zip(ours.runs, theirs.runs, strict=True)]
    return figure(name, "x", runs)


async def in_turn(
    subjects: Mapping[str, Callable[[], Awaitable[Sample]]],
    units: Mapping[str, str],
    options: Options,
) -> dict[str, dict[str, Figure]]:
    """Measure every subject once per round. -> subject -> figure name -> figure."""
    runs: dict[str, dict[str, list[float]]] = {subject: {} for subject in subjects}
    for number in range(options.repeats):
        for subject, measure in subjects.items():
            sample = await measure()
            shown = ", ".join(f"{name} {value:,.4g}" for name, value in sample.items())
            options.say(f"  round {number + 1}/{options.repeats} {subject}: {shown}")
            for name, value in sample.items():
                runs[subject].setdefault(name, []).append(value)
    return {
        subject: {name: figure(name, units.get(name, ""), values, subject) for name, values in named.items()}
        for subject, named in runs.items()
    }


def judge(report: Report, limits: Mapping[str, Limit]) -> list[Verdict]:
    """Hold the figures of subject "ours" to their limits; a figure that is missing breaks its limit."""
    values = {entry.name: entry.value for entry in report.figures if entry.subject == "ours"}
    return [Verdict(name, limit, values.get(name)) for name, limit in limits.items()]
