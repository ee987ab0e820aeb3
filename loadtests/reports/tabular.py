"""CSV (one row per operation), JSON (the whole document) and JUnit (one test case per threshold)."""

import csv
import io
from typing import Any
from xml.etree import ElementTree

import msgspec

from loadtests.reports.terminal import COLUMNS


def as_csv(report: dict[str, Any]) -> str:
    output = io.StringIO()
    writer = csv.DictWriter(output, COLUMNS)
    writer.writeheader()
    writer.writerows(report["rows"])
    return output.getvalue()


def as_json(report: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def as_junit(report: dict[str, Any]) -> bytes:
    """A broken threshold is a failure; errors of the run are an error of the case named "run"."""
    suite = ElementTree.Element("testsuite", name=f"load.{report['name']}", time=str(report["seconds"]))
    run = ElementTree.SubElement(suite, "testcase", classname=report["name"], name="run")
    if report["exit_code"] == 1:
        reason = report["failure"] or "; ".join(
            f"{name}: {codes}" for name, codes in report["errors"].items()
        )
        ElementTree.SubElement(run, "error", message=reason)
    for verdict in report["thresholds"]:
        name = f"{verdict['measure']} {verdict['bound']}"
        case = ElementTree.SubElement(suite, "testcase", classname=report["name"], name=name)
        if not verdict["held"]:
            ElementTree.SubElement(case, "failure", message=f"was {verdict['value']}")
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(sum(not verdict["held"] for verdict in report["thresholds"])))
    suite.set("errors", str(int(report["exit_code"] == 1)))
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
