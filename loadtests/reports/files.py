"""Writes the reports of a run next to each other: NAME.html, .csv, .json, .xml."""

from pathlib import Path
from typing import Any

from loadtests.reports.page import as_html
from loadtests.reports.tabular import as_csv, as_json, as_junit


def write(report: dict[str, Any], directory: Path) -> list[Path]:
    """-> the files written"""
    directory.mkdir(parents=True, exist_ok=True)
    contents = {
        "html": as_html(report).encode(),
        "csv": as_csv(report).encode(),
        "json": as_json(report),
        "xml": as_junit(report),
    }
    paths = []
    for suffix, content in contents.items():
        path = directory / f"{report['name']}.{suffix}"
        path.write_bytes(content)
        paths.append(path)
    return paths
