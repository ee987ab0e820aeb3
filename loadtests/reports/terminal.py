"""The table of a run in the terminal: redrawn in place every second on a terminal, and a line every few
seconds elsewhere; at the end the whole table with verdicts."""

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from loadtests.measures import Measures
from loadtests.reports.summary import rows
from loadtests.traffic.scenario import Scenario

COLUMNS = ("name", "count", "per_second", "p50_ms", "p95_ms", "p99_ms", "max_ms", "refused", "errors")
PLAIN_EVERY_SECONDS = 5
LIVE_ROWS = 14
BAR_CELLS = 30


def table(entries: Sequence[dict[str, Any]]) -> list[str]:
    cells = [[_cell(entry[column]) for column in COLUMNS] for entry in entries]
    heads = ["", *COLUMNS[1:]]
    widths = [max(len(row[column]) for row in [heads, *cells]) for column in range(len(COLUMNS))]

    def line(row: Sequence[str]) -> str:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        return "  ".join([row[0].ljust(widths[0]), *numbers])

    return [line(heads), *(line(row) for row in cells)]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def progress(clock: float, whole: float) -> str:
    share = min(1.0, clock / whole) if whole else 1.0
    done = round(share * BAR_CELLS)
    return f"[{'#' * done}{'.' * (BAR_CELLS - done)}] {clock:5.0f} of {whole:.0f} s"


class LiveTable:
    """A `Show` for the run."""

    def __init__(self, stream: TextIO = sys.stderr):
        self.stream, self.drawn_lines, self.next_line = stream, 0, 0.0

    def __call__(self, scenario: Scenario, measures: Measures, clock: float, online: int) -> None:
        load = measures.value("load cpu.median") or 0.0
        status = (
            f"{scenario.title}  {progress(clock, scenario.seconds)}  {online} online, "
            f"{measures.error_count} errors, load process {load:.0%} of a core"
        )
        if self.stream.isatty():
            self._redraw([status, *table(rows(measures)[:LIVE_ROWS])])
        elif clock >= self.next_line:
            self.next_line = clock + PLAIN_EVERY_SECONDS
            print(status, file=self.stream, flush=True)

    def _redraw(self, lines: list[str]) -> None:
        up = f"\x1b[{self.drawn_lines}A" if self.drawn_lines else ""
        print(up + "\n".join(f"\x1b[2K{line}" for line in lines), file=self.stream, flush=True)
        self.drawn_lines = len(lines)


def final(report: dict[str, Any]) -> str:
    """The end of a run: table, errors by code, thresholds, warnings."""
    lines = [f"{report['title']}: {report['seconds']} s on {report['machine']}", *table(report["rows"])]
    for kind in ("errors", "refusals"):
        lines += [f"{kind}: {name}: {codes}" for name, codes in report[kind].items()]
    lines += [f"example: {name}: {text}" for name, text in list(report["problems"].items())[:10]]
    lines += [f"counted: {name}: {count:,}" for name, count in report["counters"].items()]
    for name, gauge in report["gauges"].items():
        lines.append(f"gauged: {name}: median {gauge['median']:,}, highest {gauge['max']:,}")
    for verdict in report["thresholds"]:
        shown = "nothing observed" if verdict["value"] is None else f"{verdict['value']:,}"
        lines.append(
            f"{'held  ' if verdict['held'] else 'BROKEN'}  {verdict['measure']} {verdict['bound']}: {shown}"
        )
    lines += [f"warning: {warning}" for warning in report["warnings"]]
    if report["failure"]:
        lines.append(f"failed: {report['failure']}")
    return "\n".join(lines)
