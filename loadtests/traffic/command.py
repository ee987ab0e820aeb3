"""`flylive scenario`: one scenario against one server, with a live table and reports.

Exit codes: 0 everything held, 1 errors or a failed run, 2 wrong use, 99 a threshold was broken.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import uvloop

from loadtests.exits import DONE, MISUSED
from loadtests.reports.files import write
from loadtests.reports.summary import document
from loadtests.reports.terminal import LiveTable, final
from loadtests.traffic.run import Result, play
from loadtests.traffic.scenario import SHIPPED, Misdescribed, Scenario, Threshold, load
from loadtests.traffic.watching import show_nothing

LOCUSTFILE = Path(__file__).parent.parent / "locustfile.py"
LOOPBACK = "127.0.0.1"
WORKERS_WAIT_SECONDS = 60


def parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="flylive scenario", description="Put load on a server and judge it.")
    words.add_argument("scenario", nargs="?", help="a TOML file, or the name of a shipped scenario")
    words.add_argument("--list", action="store_true", help="say which scenarios are shipped and end")
    words.add_argument("--url", default="http://127.0.0.1:8080", help="the server (default %(default)s)")
    words.add_argument("--service-key", default=os.environ.get("FLYLIVE_SERVICE_KEY"), metavar="KEY")
    words.add_argument("--reports", type=Path, metavar="DIRECTORY", help="write HTML, CSV, JSON, JUnit there")
    words.add_argument("--metrics", action="append", default=[], metavar="URL", help="more nodes to watch")
    words.add_argument("--users", type=float, default=1.0, metavar="FACTOR", help="this many times the users")
    words.add_argument("--time", type=float, default=1.0, metavar="FACTOR", help="this many times as long")
    words.add_argument("--seed", type=int, help="another seed than the scenario's")
    words.add_argument(
        "--threshold", action="append", default=[], metavar="MEASURE<=N", help="one more bound"
    )
    words.add_argument("--workers", type=int, default=0, metavar="N", help="play on N locust workers")
    words.add_argument("--quiet", action="store_true", help="no live table")
    return words


def threshold(text: str) -> tuple[str, Threshold]:
    for sign, field in (("<=", "at_most"), (">=", "at_least")):
        measure, found, bound = text.partition(sign)
        if found:
            return measure.strip(), Threshold(**{field: float(bound)})
    raise Misdescribed(f"--threshold {text}: write MEASURE<=N or MEASURE>=N")


def chosen_scenario(words: argparse.Namespace) -> Scenario:
    scenario = load(words.scenario).scaled(words.users, words.time)
    extra = dict(threshold(text) for text in words.threshold)
    seed = scenario.seed if words.seed is None else words.seed
    return msgspec.structs.replace(scenario, seed=seed, thresholds=scenario.thresholds | extra)


def finish(result: Result, reports: Path | None) -> int:
    """Print the end, write the reports. -> exit code"""
    report = document(result)
    print(final(report), flush=True)
    if reports is not None:
        for path in write(report, reports):
            print(f"wrote {path}")
    return result.exit_code


def on_locust(words: argparse.Namespace, scenario: Scenario) -> int:
    """The same scenario on processes of locust, which coordinate themselves over a port of this run alone."""
    # The key goes by environment: a command line can be read by everybody on the machine.
    environment = {**os.environ, "FLYLIVE_SERVICE_KEY": words.service_key}
    with reserved_port() as port, tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(msgspec.json.encode(scenario))
        file.flush()
        command = [
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"),
            *("--processes", str(words.workers), "--expect-workers-max-wait", str(WORKERS_WAIT_SECONDS)),
            *("--master-bind-host", LOOPBACK, "--master-bind-port", str(port)),
            *("--master-host", LOOPBACK, "--master-port", str(port)),
            *("--scenario", file.name, "--flylive-url", words.url),
            *(option for url in words.metrics for option in ("--metrics-url", url)),
            *(("--reports", str(words.reports)) if words.reports else ()),
        ]
        return subprocess.run(command, env=environment, check=False).returncode


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A free loopback port that nobody else is given meanwhile: bound here without listening, which keeps it
    from the kernel's own choice, and lets the coordinator listen on it (both allow the address's reuse)."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield int(holder.getsockname()[1])


def main(arguments: Sequence[str]) -> int:
    """`flylive scenario`"""
    words = parser().parse_args(arguments)
    if words.list:
        for path in sorted(SHIPPED.glob("*.toml")):
            print(f"{path.stem:10} {load(path).title}")
        return DONE
    if not words.scenario or not words.service_key:
        print(
            "flylive scenario: name a scenario, and give --service-key or FLYLIVE_SERVICE_KEY",
            file=sys.stderr,
        )
        return MISUSED
    try:
        scenario = chosen_scenario(words)
    except Misdescribed as problem:
        print(f"flylive scenario: {problem}", file=sys.stderr)
        return MISUSED
    if words.workers and any(group.audio for group in scenario.groups):
        print(
            "flylive scenario: audio users send their datagrams on asyncio, which locust's workers do not "
            "run: play this scenario without --workers",
            file=sys.stderr,
        )
        return MISUSED
    if words.workers:
        return on_locust(words, scenario)
    show = show_nothing if words.quiet else LiveTable()
    metrics = [words.url, *words.metrics]
    return finish(
        uvloop.run(play(scenario, words.url, words.service_key, metrics_urls=metrics, show=show)),
        words.reports,
    )
