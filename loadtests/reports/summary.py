"""The result of a run as one plain document: rows per operation, time lines, verdicts, problems."""

from typing import Any

from loadtests.benchmarks.machine import describe, sentence
from loadtests.measures import Histogram, Measures, Series
from loadtests.traffic.run import Result

EVENT = "event "
PERCENTILES = ((0.5, "p50_ms"), (0.95, "p95_ms"), (0.99, "p99_ms"), (1.0, "max_ms"))
# Series that are about the load process, not about the server.
OWN = frozenset({"lag", "audio lag", "audio delay"})


def row(name: str, series: Series) -> dict[str, Any]:
    seconds = len(series.seconds) and max(series.seconds) - min(series.seconds) + 1
    return {
        "name": name,
        "count": series.whole.total,
        "per_second": round(series.whole.total / seconds, 1) if seconds else 0.0,
        **{label: round(series.whole.percentile(share) * 1000, 2) for share, label in PERCENTILES},
        "refused": series.refusals.total(),
        "errors": series.errors.total(),
    }


def rows(measures: Measures) -> list[dict[str, Any]]:
    """Operations first, then events, then the load process's own."""

    def place(name: str) -> tuple[int, str]:
        return (2 if name in OWN else 1 if name.startswith(EVENT) else 0), name

    return [row(name, measures.series[name]) for name in sorted(measures.series, key=place)]


def _timeline(measures: Measures) -> dict[str, Any]:
    """Per second: percentiles of all acks, of all events, counts, errors, gauges."""
    groups: dict[str, list[Series]] = {"acks": [], "events": []}
    for name, series in measures.series.items():
        if name not in OWN:
            groups["events" if name.startswith(EVENT) else "acks"].append(series)
    last = max(
        [second for series in measures.series.values() for second in series.seconds]
        + [second for values in measures.gauges.values() for second in values]
        + [0]
    )
    lines = {label: _percentile_lines(members, last) for label, members in groups.items()}
    lines["errors"] = {"errors": [measures.errors_by_second.get(second, 0) for second in range(last + 1)]}
    for name, values in sorted(measures.gauges.items()):
        lines.setdefault("gauges", {})[name] = [values.get(second) for second in range(last + 1)]
    return {"seconds": last + 1, "lines": lines}


def _percentile_lines(members: list[Series], last: int) -> dict[str, list[float | None]]:
    lines: dict[str, list[float | None]] = {"count": [], "p50": [], "p95": [], "p99": []}
    for second in range(last + 1):
        merged = Histogram()
        for series in members:
            if second in series.seconds:
                merged.merge(series.seconds[second])
        lines["count"].append(merged.total)
        for share, label in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
            lines[label].append(round(merged.percentile(share) * 1000, 2) if merged.total else None)
    return lines


def document(result: Result) -> dict[str, Any]:
    """Plain types only; this is the JSON report, and what the page draws."""
    measures = result.measures
    return {
        "name": result.scenario.name,
        "title": result.scenario.title,
        "started_at": int(result.started_at * 1000),
        "seconds": round(result.seconds, 1),
        "machine": sentence(describe()),
        "exit_code": result.exit_code,
        "failure": result.failure,
        "warnings": list(result.warnings),
        "rows": rows(measures),
        "counters": dict(sorted(measures.counters.items())),
        "gauges": {
            name: {what: round(measures.value(f"{name}.{what}") or 0.0, 3) for what in ("median", "max")}
            for name in sorted(measures.gauges)
        },
        "errors": {
            name: dict(series.errors) for name, series in sorted(measures.series.items()) if series.errors
        },
        "refusals": {
            name: dict(series.refusals) for name, series in sorted(measures.series.items()) if series.refusals
        },
        "problems": measures.problems,
        "thresholds": [
            {
                "measure": verdict.measure,
                "bound": str(verdict.threshold),
                "value": None if verdict.value is None else round(verdict.value, 4),
                "held": verdict.held,
            }
            for verdict in result.verdicts
        ],
        "timeline": _timeline(measures),
    }
