"""`python -m tests.fuzz --inputs N`: every target, or one, at any size."""

import argparse
import logging
import secrets
import sys
import time

from tests.fuzz.registry import Finding, all_targets, run


def main() -> int:
    targets = all_targets()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs per target")
    parser.add_argument("--target", choices=targets, help="only this one")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    arguments = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # refusals of garbage may be logged, not printed
    failed = 0
    for name, target in targets.items():
        if arguments.target not in (None, name):
            continue
        started = time.perf_counter()
        inputs = arguments.inputs if arguments.target is None else round(arguments.inputs / target.weight)
        try:
            count = run(target, inputs, arguments.seed, start=arguments.start)
        except Finding as finding:
            print(f"FAIL {name}: {finding}")
            failed += 1
            continue
        rate = count / (time.perf_counter() - started)
        print(f"ok   {name}: {count} inputs, {rate:,.0f}/s, seed {arguments.seed}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
