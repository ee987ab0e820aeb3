"""The official suites of the socket.io repository, unmodified, against our server on the port they expect.

They are not part of this project. A checkout of that repository (or of its two directories under docs/) is
named by `--official`, by FLYLIVE_OFFICIAL_SUITES, or lies in .cache/official-suites.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.process import ROOT, server_process
from tests.tools import node

PORT = 3000
PING_INTERVAL_SECONDS = 0.3
PING_TIMEOUT_SECONDS = 0.2
SUITES = {"docs/engine.io-protocol/v4-test-suite": 25, "docs/socket.io-protocol/v5-test-suite": 32}
CACHE = ROOT / ".cache" / "official-suites"
ENVIRONMENT = "FLYLIVE_OFFICIAL_SUITES"


@dataclass(frozen=True)
class Result:
    name: str
    passed: int
    expected: int
    output: str

    @property
    def good(self) -> bool:
        return self.passed == self.expected


def find(given: str | None) -> Path | None:
    """The directory that holds the suites, or None when there is none on this machine."""
    for place in (given, os.environ.get(ENVIRONMENT), str(CACHE)):
        if place and all((Path(place) / suite).is_dir() for suite in SUITES):
            return Path(place)
    if given:
        raise FileNotFoundError(f"{given} holds no {' and '.join(SUITES)}")
    return None


def run(checkout: Path, *, front: bool = True) -> list[Result]:
    with server_process(
        PORT,
        front=front,
        ping_interval_seconds=PING_INTERVAL_SECONDS,
        ping_timeout_seconds=PING_TIMEOUT_SECONDS,
    ):
        return [_run_suite(checkout, suite, expected) for suite, expected in SUITES.items()]


def _run_suite(checkout: Path, suite: str, expected: int) -> Result:
    """In a copy, so that the checkout stays as it is."""
    place = ROOT / ".cache" / "official-run" / suite
    place.mkdir(parents=True, exist_ok=True)
    for path in (checkout / suite).iterdir():
        if path.is_file():
            shutil.copy(path, place / path.name)
    if not (place / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=place, check=True)
    command = [str(node()), "node_modules/.bin/mocha", "test-suite.js"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=120)
    passing = re.search(r"(\d+) passing", done.stdout)
    return Result(suite, int(passing[1]) if passing else 0, expected, done.stdout + done.stderr)
