"""`python -m tests.simulation --ops N --seed S`: the simulation at any size, on several cores.

A world is the same on any number of processes; a failure names the seed that plays it again.
"""

import argparse
import multiprocessing
import os
import sys
import time

from tests.simulation.world import Failed, play

OPERATIONS_OF_A_WORLD = 20_000
ENOUGH_FAILURES = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--ops", type=int, default=200_000, help="how many commands the users give in all")
    parser.add_argument("--seed", type=int, default=1, help="the first world's; each further world adds one")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    began = time.monotonic()
    sizes = [
        min(OPERATIONS_OF_A_WORLD, options.ops - done)
        for done in range(0, options.ops, OPERATIONS_OF_A_WORLD)
    ]
    worlds = [(options.seed + number, size) for number, size in enumerate(sizes)]
    done = failures = 0
    with multiprocessing.get_context("spawn").Pool(min(options.processes, len(worlds))) as pool:
        results = pool.imap_unordered(play, worlds)
        for _world in worlds:
            try:
                seed, figures = next(results)
            except Failed as failure:
                failures += 1
                print(failure, file=sys.stderr, flush=True)
                if failures == ENOUGH_FAILURES:
                    break
                continue
            done += figures.operations
            print(f"seed {seed}: {figures}; {done} operations so far", flush=True)
    verdict = f"{failures} worlds failed" if failures else "every rule held"
    print(f"{done} operations in {time.monotonic() - began:.0f} s: {verdict}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
