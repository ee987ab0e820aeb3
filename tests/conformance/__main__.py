"""`python -m tests.conformance`: our own rewrite of each case, and the official suites where they are at
hand."""

import argparse
import asyncio
import sys

from tests.conformance import official
from tests.conformance.case import run_case
from tests.conformance.process import server_process
from tests.conformance.suites import SUITES


async def run_own(url: str) -> int:
    """Runs every case, prints one line each, returns how many failed."""
    failed = 0
    for name, (path, cases) in SUITES.items():
        passed = 0
        for case in cases:
            try:
                await run_case(case, url, path)
                passed += 1
            except (AssertionError, OSError, TimeoutError) as error:
                print(f"FAIL {name}: {case.name}: {error!r}")
        print(f"{name}: {passed} of {len(cases)}")
        failed += len(cases) - passed
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--official", metavar="DIR", help="checkout that holds the official suites")
    parser.add_argument("--no-front", action="store_true", help="upgrades go through aiohttp")
    arguments = parser.parse_args()
    front = not arguments.no_front
    with server_process(front=front) as url:
        failed = asyncio.run(run_own(url))
    checkout = official.find(arguments.official)
    if checkout is None:
        print("official suites: not on this machine, only our own cases ran")
        return 1 if failed else 0
    for result in official.run(checkout, front=front):
        print(f"official {result.name}: {result.passed} of {result.expected}")
        if not result.good:
            print(result.output)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
