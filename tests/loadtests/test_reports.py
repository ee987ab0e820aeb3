"""The forms of a report: the page opens alone in a browser, the others parse and agree."""

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from loadtests.measures import Measures
from loadtests.reports.files import write
from loadtests.reports.summary import document
from loadtests.traffic.run import Result, judge
from loadtests.traffic.scenario import Threshold
from tests.loadtests.scenarios import mixed
from tests.tools import chromium

MARKUP = '</script><script>console.error("markup ran")</script><img src=x onerror=alert(1)>'


def report(**thresholds: Threshold) -> dict[str, Any]:
    measures = Measures()
    for second in range(30):
        for step in range(20):
            measures.success("chat:send", second, 0.002 * (1 + (second * step) % 17))
            measures.success("event chat:message", second, 0.003 * (1 + step % 5))
        measures.gauge("users", second, second)
        measures.gauge("server cpu", second, 0.01 * second)
        measures.gauge("load cpu", second, 0.3)
        measures.gauge("server memory MiB", second, 150 + second)
    measures.failed("chat:send", 12, "TIMEOUT", MARKUP)
    scenario = msgspec.structs.replace(mixed(title=f"A run {MARKUP}"), thresholds=thresholds)
    return document(Result(scenario, measures, judge(scenario, measures), 1_700_000_000.0, 30.0, ("late",)))


BROKEN = {"chat:send.p99_ms": Threshold(at_most=1.0), "chat:send.p50_ms": Threshold(at_most=1000.0)}


def browsed(page: Path) -> tuple[str, list[str]]:
    """The page in a headless Chromium that can resolve no name. -> (its DOM, its console lines)"""
    command = [
        str(chromium()),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        f"--user-data-dir={page.parent / 'profile'}",
        "--virtual-time-budget=3000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.browser
def test_the_page_opens_without_network_and_without_a_word_on_the_console(tmp_path: Path) -> None:
    write(report(**BROKEN), tmp_path)
    page = tmp_path / "mixed.html"
    assert "http://" not in page.read_text().replace("http://www.w3.org", "")
    dom, console = browsed(page)
    assert console == []
    drawn = dom.partition('<main id="report">')[2].partition("</main>")[0]
    assert drawn.count("<figure>") == 7
    assert drawn.count("<path") >= 11
    assert ">failed<" in drawn
    assert ">broken<" in drawn
    assert "<img" not in drawn


def test_junit_names_the_broken_threshold(tmp_path: Path) -> None:
    write(report(**BROKEN), tmp_path)
    suite = ElementTree.parse(tmp_path / "mixed.xml").getroot()
    assert suite.get("failures") == "1"
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["chat:send.p99_ms <= 1"]


def test_csv_and_json_agree(tmp_path: Path) -> None:
    write(report(), tmp_path)
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO((tmp_path / "mixed.csv").read_text()))}
    document = json.loads((tmp_path / "mixed.json").read_text())
    assert {row["name"]: str(row["count"]) for row in document["rows"]} == {
        name: row["count"] for name, row in rows.items()
    }
    assert rows["chat:send"]["count"] == "600"


def test_a_percentile_is_at_most_four_percent_off() -> None:
    measures = Measures()
    for number in range(1, 1001):
        measures.success("x", 0, number / 1000)
    for percent in (50, 95, 99):
        value = measures.value(f"x.p{percent}_ms")
        assert value is not None
        assert percent * 10 <= value <= percent * 10 * 1.05


def test_measures_of_two_processes_add_up() -> None:
    one, other = Measures(), Measures()
    for measures in (one, other):
        measures.success("x", 1.0, 0.01)
        measures.failed("x", 1.0, "LOST", "why")
        measures.counters["events"] += 2
    one.merge(json.loads(json.dumps(other.pack())))
    assert one.series["x"].whole.total == 2
    assert one.series["x"].errors["LOST"] == 2
    assert one.counters["events"] == 4
    assert one.errors_by_second[1] == 2
