"""`flylive record` and `flylive replay`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from loadtests.clients.rest import UNREACHABLE, CallFailed, Rest
from loadtests.exits import DONE, FAILED, MISUSED
from loadtests.reports.terminal import LiveTable
from loadtests.traces.format import Trace, TraceUnreadable, read
from loadtests.traces.performance import Wish, perform
from loadtests.traces.plan import planned
from loadtests.traces.pseudonyms import Pseudonyms
from loadtests.traces.recording import Recording, TooSlow
from loadtests.traffic.command import finish, threshold
from loadtests.traffic.scenario import Misdescribed
from loadtests.traffic.watching import show_nothing

FULL_SPEED = "max"


def _server(words: argparse.ArgumentParser) -> None:
    words.add_argument("--url", default="http://127.0.0.1:8080", help="the server (default %(default)s)")
    words.add_argument("--service-key", default=os.environ.get("FLYLIVE_SERVICE_KEY"), metavar="KEY")


def _record_parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="flylive record", description="Write a node's traffic to a file.")
    words.add_argument("file", type=Path, help="where to; with .gz it is compressed, - is standard output")
    _server(words)
    words.add_argument("--room", action="append", default=[], metavar="ID", help="only this one (repeatable)")
    words.add_argument("--seconds", type=float, help="stop after this time; else at Ctrl-C")
    words.add_argument("--raw", action="store_true", help="keep ids and texts as they are: personal data!")
    return words


async def _record(words: argparse.Namespace) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if words.seconds is not None:
        loop.call_later(words.seconds, stop.set)
    async with Rest(words.url, words.service_key) as rest:
        count = await Recording(rest, words.file, Pseudonyms(words.raw), words.room).run(stop)
    print(f"{count} lines in {words.file}", file=sys.stderr)
    return DONE


def record(arguments: Sequence[str]) -> int:
    """`flylive record`"""
    words = _record_parser().parse_args(arguments)
    if not words.service_key:
        print("flylive record: give --service-key or FLYLIVE_SERVICE_KEY", file=sys.stderr)
        return MISUSED
    try:
        return uvloop.run(_record(words))
    except (CallFailed, TooSlow, *UNREACHABLE) as problem:
        print(f"flylive record: {problem}", file=sys.stderr)
        return FAILED


def _speed(text: str) -> float:
    if text == FULL_SPEED:
        return 0.0
    speed = float(text.removesuffix("x"))
    if speed <= 0:
        raise argparse.ArgumentTypeError("a speed is a number above 0, as 2x, or max")
    return speed


def _replay_parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="flylive replay", description="Play recorded traffic again.")
    words.add_argument("file", type=Path, help="a trace, .jsonl or .jsonl.gz")
    _server(words)
    words.add_argument("--speed", type=_speed, default=1.0, help="2x, 0.5x, or max (default 1x)")
    words.add_argument("--clone", type=int, default=1, metavar="N", help="N copies of every room at once")
    words.add_argument("--spread", type=float, default=0.0, metavar="SECONDS", help="copies start over this")
    words.add_argument(
        "--loop", type=int, nargs="?", const=0, default=1, metavar="N", help="N times, or on and on"
    )
    words.add_argument("--max-gap", type=float, metavar="SECONDS", help="shorten silences to this")
    words.add_argument("--dry-run", action="store_true", help="say what would be done, touch nothing")
    words.add_argument("--check", action="store_true", help="compare answers and end states with the trace")
    words.add_argument("--threshold", action="append", default=[], metavar="BOUND", help="MEASURE<=N, or >=")
    words.add_argument("--reports", type=Path, metavar="DIRECTORY", help="write HTML, CSV, JSON, JUnit there")
    words.add_argument("--quiet", action="store_true", help="no live table")
    return words


def preview(trace: Trace, wish: Wish) -> str:
    """What a replay would do."""
    plan = planned(trace, in_order=wish.check, max_gap=wish.max_gap)
    seconds = plan.seconds / wish.speed if wish.speed else 0.0
    state = "intact" if trace.intact else "CHANGED: the digest does not agree"
    lines = [
        f"trace of {plan.seconds:.1f} s, {state}",
        f"{len(plan.rooms) * wish.clones} rooms, {plan.clients * wish.clones} clients, "
        f"{sum(plan.commands.values()) * wish.clones} commands, "
        + (f"in {seconds:.1f} s" if wish.speed else "as fast as it goes"),
    ]
    lines += [f"{count:8,}  {name}" for name, count in sorted(plan.commands.items(), key=lambda one: -one[1])]
    return "\n".join(lines)


def replay(arguments: Sequence[str]) -> int:
    """`flylive replay`"""
    words = _replay_parser().parse_args(arguments)
    try:
        bounds = dict(threshold(text) for text in words.threshold)
        trace = read(words.file)
    except (TraceUnreadable, Misdescribed) as problem:
        print(f"flylive replay: {problem}", file=sys.stderr)
        return MISUSED
    wish = Wish(
        speed=words.speed,
        clones=words.clone,
        rounds=words.loop or None,
        max_gap=words.max_gap,
        spread_seconds=words.spread,
        check=words.check,
        thresholds=bounds,
    )
    if words.dry_run:
        print(preview(trace, wish))
        return DONE
    if not words.service_key:
        print("flylive replay: give --service-key or FLYLIVE_SERVICE_KEY", file=sys.stderr)
        return MISUSED
    show = show_nothing if words.quiet else LiveTable()
    result = uvloop.run(perform(trace, str(words.file), words.url, words.service_key, wish, show))
    return finish(result, words.reports)
