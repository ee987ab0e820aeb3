"""`python -m tests.fuzz --inputs N`: every target, or one, at any size, on as many processes as wanted."""

import argparse
import multiprocessing
import secrets
import sys
import time

from tests.fuzz.registry import all_targets, run_shard

SHARD = 100_000
"""Inputs that one process takes at a time."""


def main() -> int:
    targets = all_targets()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs per target")
    parser.add_argument("--target", choices=targets, help="only this one")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    failed = 0
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for name, target in targets.items():
            if arguments.target not in (None, name):
                continue
            started = time.perf_counter()
            weight = target.weight if arguments.target is None else 1.0
            end = arguments.start + max(1, round(arguments.inputs * weight))
            starts = range(arguments.start, end, SHARD)
            shards = [(name, min(SHARD, end - start), arguments.seed, start) for start in starts]
            outcomes = list(pool.imap_unordered(run_shard, shards))
            count, findings = sum(done for done, _ in outcomes), [text for _, text in outcomes if text]
            for text in findings:
                print(f"FAIL {name}: {text}")
            failed += bool(findings)
            rate = count / (time.perf_counter() - started)
            print(f"{name}: {count} inputs, {rate:,.0f}/s, seed {arguments.seed}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
