"""The same scenario on locust's workers: the coordinator adds up, reports, and gives the exit code."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from loadtests.traffic.run import BROKEN, DONE
from tests.loadtests.double import SERVICE_KEY, Faults, double

SCENARIO = """
name = "mixed"
title = "A small mixed room"
[money]
coins = 10000
[[groups]]
behaviour = "talker"
users = 6
every_seconds = 0.4
[[groups]]
behaviour = "gifter"
users = 2
every_seconds = 0.5
[[groups]]
behaviour = "speaker"
users = 2
every_seconds = 0.5
[[phases]]
kind = "ramp"
users = 10
seconds = 1.0
[[phases]]
kind = "hold"
seconds = 1.5
[thresholds]
"room:join.count" = { at_least = 10 }
"chat:send.p50_ms" = { at_most = 800 }
"seq_gaps.count" = { at_most = 0 }
"money_differences.count" = { at_most = 0 }
"""
COMMAND = "import sys; from loadtests.cli import scenario; sys.exit(scenario(sys.argv[1:]))"


async def on_locust(directory: Path, faults: Faults) -> tuple[int | None, dict[str, object], str]:
    path = directory / "mixed.toml"
    path.write_text(SCENARIO)
    async with double(faults) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COMMAND, str(path), "--url", url),
            *("--workers", "2", "--reports", str(directory)),
            env={**os.environ, "FLYLIVE_SERVICE_KEY": SERVICE_KEY},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(90):
            output, _ = await process.communicate()
    report = directory / "mixed.json"
    assert report.exists(), output.decode()
    return process.returncode, json.loads(report.read_text()), output.decode()


@pytest.mark.parametrize(("slow_seconds", "code"), [(0.0, DONE), (1.0, BROKEN)])
async def test_two_workers_make_one_report_and_one_exit_code(
    tmp_path: Path, slow_seconds: float, code: int
) -> None:
    exit_code, report, output = await on_locust(tmp_path, Faults(slow_seconds=slow_seconds))
    assert exit_code == code, output
    rows = {row["name"]: row for row in report["rows"]}  # type: ignore[attr-defined]
    assert rows["room:join"]["count"] == 10
    assert rows["gift:send"]["count"] > 2
    assert report["exit_code"] == code
