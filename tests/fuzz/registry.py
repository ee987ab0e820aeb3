"""What a target is, and all of them."""

import importlib
import itertools
import logging
import pkgutil
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.fuzz import targets


@dataclass(frozen=True)
class Target:
    """`make` builds one input, `check` raises when something about it is wrong.

    `weight` is for targets whose inputs are dear: they get that share of the inputs asked for.
    """

    name: str
    make: Callable[[random.Random], Any]
    check: Callable[[Any], None]
    weight: float = 1.0


class Finding(AssertionError):
    """An input that broke a rule; the text has all it takes to see it again."""


def all_targets() -> dict[str, Target]:
    found: dict[str, Target] = {}
    for module in pkgutil.iter_modules(targets.__path__):
        for target in importlib.import_module(f"{targets.__name__}.{module.name}").TARGETS:
            found[target.name] = target
    return dict(sorted(found.items()))


BLOCK = 1000
"""Inputs of one random sequence: seeding it for each would cost more than most checks."""


def run(target: Target, inputs: int, seed: int, *, start: int = 0) -> int:
    """Checks that many inputs, the same ones for the same seed and numbers; returns how many there were."""
    count = max(1, round(inputs * target.weight))
    for number, made in zip(range(start, start + count), _inputs(target, seed, start), strict=False):
        try:
            target.check(made)
        except Exception as error:
            again = f"python -m tests.fuzz --target {target.name} --seed {seed} --start {number} --inputs 1"
            raise Finding(f"{error!r}\n  input: {made!r:.2000}\n  again: {again}") from error
    return count


def run_shard(shard: tuple[str, int, int, int]) -> tuple[int, str]:
    """In a process of its own: (target, inputs, seed, start) for (inputs checked, what was found)."""
    name, inputs, seed, start = shard
    logging.getLogger().addHandler(logging.NullHandler())  # refusals of garbage may be logged, not printed
    target = all_targets()[name]
    try:
        return run(target, round(inputs / target.weight), seed, start=start), ""
    except Finding as finding:
        return 0, str(finding)


def _inputs(target: Target, seed: int, start: int) -> Iterator[Any]:
    skipped = start % BLOCK
    for block in itertools.count(start // BLOCK):
        chance = random.Random(f"{target.name}/{seed}/{block}")
        made = (target.make(chance) for _ in range(BLOCK))
        yield from itertools.islice(made, skipped, None)
        skipped = 0
