"""Entry points of the load-test commands; the program's command table names them as import strings.

Each takes the words after its own name and returns the exit code: 0 done, 1 the job failed, 2 wrong use,
99 a threshold was broken. Imports stand inside, so that `flylive --help` stays quick.
"""

from collections.abc import Sequence


def bench(arguments: Sequence[str]) -> int:
    from loadtests.benchmarks.runner import main

    return main(arguments)


def scenario(arguments: Sequence[str]) -> int:
    from loadtests.traffic.command import main

    return main(arguments)


def record(arguments: Sequence[str]) -> int:
    from loadtests.traces.command import record

    return record(arguments)


def replay(arguments: Sequence[str]) -> int:
    from loadtests.traces.command import replay

    return replay(arguments)


def capacity(arguments: Sequence[str]) -> int:
    from loadtests.capacity import main

    return main(arguments)
