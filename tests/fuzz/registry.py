"""What a target is, and all of them."""

import importlib
import pkgutil
import random
from collections.abc import Callable
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


def run(target: Target, inputs: int, seed: int, *, start: int = 0) -> int:
    """Checks that many inputs, each from a seed of its own; returns how many there were."""
    count = max(1, round(inputs * target.weight))
    for number in range(start, start + count):
        made = target.make(random.Random(f"{target.name}/{seed}/{number}"))
        try:
            target.check(made)
        except Exception as error:
            again = f"python -m tests.fuzz --target {target.name} --seed {seed} --start {number} --inputs 1"
            raise Finding(f"{error!r}\n  input: {made!r:.2000}\n  again: {again}") from error
    return count
