"""`python -m tests.simulation --ops N --seed S`: the simulation at any size. A failure names the seed."""

import argparse
import sys
import time

from tests.simulation.world import World

OPERATIONS_OF_A_WORLD = 20_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--ops", type=int, default=200_000, help="how many commands the users give in all")
    parser.add_argument("--seed", type=int, default=1, help="the first world's; each further world adds one")
    options = parser.parse_args()
    done, seed, began = 0, options.seed, time.monotonic()
    while done < options.ops:
        wanted = min(OPERATIONS_OF_A_WORLD, options.ops - done)
        try:
            figures = World(seed, wanted).run()
        except BaseException:
            print(
                f"FAILED; again with: python -m tests.simulation --ops {wanted} --seed {seed}",
                file=sys.stderr,
            )
            raise
        done += figures.operations
        print(f"seed {seed}: {figures}", flush=True)
        seed += 1
    print(f"{done} operations in {time.monotonic() - began:.0f} s: every rule held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
