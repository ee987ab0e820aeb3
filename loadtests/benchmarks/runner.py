"""Finds the benchmarks, runs them one after the other, prints the tables, writes the JSON.

Exit codes: 0 every limit held, 1 a benchmark failed, 99 a limit was broken.
"""

import argparse
import importlib
import pkgutil
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from loadtests import benchmarks
from loadtests.benchmarks import machine
from loadtests.benchmarks.figures import Limit, Options, Report, Verdict, judge
from loadtests.exits import BROKEN, DONE, FAILED, MISUSED

# What `all` may take on a machine of two cores.
ALL_SECONDS = 20 * 60
USUAL_REPEATS = 3


class Benchmark(msgspec.Struct, frozen=True):
    """A benchmark module, read once and typed."""

    name: str
    measures: str
    limits: Mapping[str, Limit]
    run: Callable[[Options], Awaitable[Report]]
    repeats: int = USUAL_REPEATS


class Outcome(msgspec.Struct, frozen=True):
    """One benchmark as it went; `error` is set when it raised."""

    name: str
    seconds: float
    report: Report | None
    verdicts: tuple[Verdict, ...]
    error: str | None = None


def discover() -> dict[str, Benchmark]:
    """Every module of the package that declares NAME, by that name."""
    found: dict[str, Benchmark] = {}
    for entry in pkgutil.iter_modules(benchmarks.__path__):
        module: Any = importlib.import_module(f"{benchmarks.__name__}.{entry.name}")
        if hasattr(module, "NAME"):
            repeats = getattr(module, "REPEATS", USUAL_REPEATS)
            found[module.NAME] = Benchmark(module.NAME, module.MEASURES, module.LIMITS, module.run, repeats)
    return dict(sorted(found.items()))


async def measure(benchmark: Benchmark, options: Options) -> Outcome:
    started = time.monotonic()
    try:
        report = await benchmark.run(options)
    except Exception:
        return Outcome(benchmark.name, time.monotonic() - started, None, (), traceback.format_exc())
    verdicts = tuple(judge(report, benchmark.limits))
    return Outcome(benchmark.name, time.monotonic() - started, report, verdicts)


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _lines(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows in columns, a rule below the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return [lines[0], "-" * len(max(lines, key=len)), *lines[1:]]


def _rows(outcome: Outcome) -> list[tuple[str, str, str, str, str]]:
    verdicts = {verdict.figure: verdict for verdict in outcome.verdicts}
    rows = []
    for entry in outcome.report.figures if outcome.report else ():
        verdict = verdicts.get(entry.name) if entry.subject == "ours" else None
        spread = f"{number(min(entry.runs))} .. {number(max(entry.runs))}"
        rows.append(
            (entry.name, entry.subject, f"{number(entry.value)} {entry.unit}", spread, _said(verdict))
        )
    known = {entry.name for entry in outcome.report.figures} if outcome.report else set()
    rows += [(name, "ours", "missing", "", _said(verdicts[name])) for name in verdicts if name not in known]
    return rows


def _said(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    sign = "<=" if verdict.limit.direction == "at_most" else ">="
    return f"{sign} {number(verdict.limit.bound)} {'held' if verdict.held else 'BROKEN'}"


def table(outcome: Outcome) -> str:
    """The benchmark as a table: figure, subject, median, spread of the runs, limit."""
    title = f"{outcome.name} ({outcome.seconds:.0f} s)"
    if outcome.report is None:
        return f"{title}\n{outcome.error}"
    rows = [("figure", "of", "median", "runs", "limit"), *_rows(outcome)]
    return "\n".join([title, *_lines(rows), *(f"note: {note}" for note in outcome.report.notes)])


def verdicts(outcomes: Sequence[Outcome]) -> str:
    """Every limit of a run of several benchmarks, in one table, and how long it took."""
    rows = [("benchmark", "seconds", "figure", "value", "limit")]
    for outcome in outcomes:
        seconds = f"{outcome.seconds:.0f}"
        for verdict in outcome.verdicts:
            value = "missing" if verdict.value is None else number(verdict.value)
            rows.append((outcome.name, seconds, verdict.figure, value, _said(verdict)))
        if not outcome.verdicts:
            failed = outcome.report is None
            rows.append((outcome.name, seconds, "", "", "FAILED" if failed else "no limits"))
    whole = sum(outcome.seconds for outcome in outcomes)
    return "\n".join([*_lines(rows), f"{whole / 60:.1f} minutes"])


def exit_code(outcomes: Sequence[Outcome]) -> int:
    if any(outcome.report is None for outcome in outcomes):
        return FAILED
    return BROKEN if any(not verdict.held for one in outcomes for verdict in one.verdicts) else DONE


def as_json(outcomes: Sequence[Outcome], described: machine.Machine) -> bytes:
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    documents = [
        {
            "name": outcome.name,
            "seconds": round(outcome.seconds, 1),
            "figures": outcome.report.figures if outcome.report else (),
            "notes": outcome.report.notes if outcome.report else (),
            "error": outcome.error,
            "limits": [
                {
                    "figure": verdict.figure,
                    "direction": verdict.limit.direction,
                    "bound": verdict.limit.bound,
                    "value": verdict.value,
                    "held": verdict.held,
                }
                for verdict in outcome.verdicts
            ],
        }
        for outcome in outcomes
    ]
    whole = {"measured_at": measured_at, "machine": described, "benchmarks": documents}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flylive bench", description="Measure, beside the peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help='benchmarks to run, or "all"')
    parser.add_argument("--list", action="store_true", help="say what there is and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file too")
    parser.add_argument("--repeats", type=int, metavar="N", help="runs per figure (default: 3 or more)")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: shows that it works, proves nothing"
    )
    return parser


async def run_all(
    chosen: Sequence[Benchmark],
    options: Options,
    repeats: int | None = None,
    keep: Callable[[Sequence[Outcome]], None] = lambda _outcomes: None,
) -> list[Outcome]:
    """One after the other. `keep` hears of what there is after each: a run that is cut short is not lost."""
    outcomes: list[Outcome] = []
    for benchmark in chosen:
        options.say(f"{benchmark.name}: {benchmark.measures}")
        own = msgspec.structs.replace(options, repeats=repeats or benchmark.repeats)
        outcomes.append(await measure(benchmark, own))
        print(table(outcomes[-1]), end="\n\n", flush=True)
        keep(outcomes)
    return outcomes


def main(arguments: Sequence[str]) -> int:
    """`flylive bench`"""
    known, chosen = discover(), _parser().parse_args(arguments)
    if chosen.list:
        print("\n".join(f"{one.name:12} {one.measures}" for one in known.values()))
        return DONE
    names = list(known) if chosen.names == ["all"] else chosen.names
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        print(f"flylive bench: name one of {', '.join(known)} or all; unknown: {unknown}", file=sys.stderr)
        return MISUSED
    described = machine.describe()
    print(machine.sentence(described), end="\n\n", flush=True)
    options = Options(quick=chosen.quick)

    def keep(outcomes: Sequence[Outcome]) -> None:
        if chosen.json:
            chosen.json.write_bytes(as_json(outcomes, described))

    outcomes = uvloop.run(run_all([known[name] for name in names], options, chosen.repeats, keep))
    if len(outcomes) > 1:
        print(verdicts(outcomes), flush=True)
    if sum(outcome.seconds for outcome in outcomes) > ALL_SECONDS:
        print(f"note: this took longer than {ALL_SECONDS // 60} minutes", file=sys.stderr)
    return exit_code(outcomes)
