"""The same scenario on locust's workers: the coordinator adds up, reports, and gives the exit code."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from loadtests.exits import BROKEN, DONE, FAILED
from loadtests.traffic.command import reserved_port
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
"seq_gaps.count" = { at_most = 0 }
"money_differences.count" = { at_most = 0 }
"""
COMMAND = "import sys; from loadtests.cli import scenario; sys.exit(scenario(sys.argv[1:]))"


@contextlib.asynccontextmanager
async def on_locust(directory: Path, faults: Faults) -> AsyncIterator[asyncio.subprocess.Process]:
    """A run of the scenario on two workers against a server of its own."""
    path = directory / "mixed.toml"
    path.write_text(SCENARIO)
    async with double(faults) as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COMMAND, str(path), "--url", url),
            *("--workers", "2", "--reports", str(directory), "--threshold", "chat:send.p50_ms<=800"),
            *("--metrics", url),
            env={**os.environ, "FLYLIVE_SERVICE_KEY": SERVICE_KEY},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def ended(
    process: asyncio.subprocess.Process, directory: Path
) -> tuple[int | None, dict[str, Any], str]:
    async with asyncio.timeout(90):
        output, _ = await process.communicate()
    report = directory / "mixed.json"
    assert report.exists(), output.decode()
    return process.returncode, json.loads(report.read_text()), output.decode()


async def test_runs_at_the_same_time_make_a_report_and_an_exit_code_each(tmp_path: Path) -> None:
    async def one(name: str, slow_seconds: float, code: int) -> None:
        async with on_locust(tmp_path / name, Faults(slow_seconds=slow_seconds)) as process:
            exit_code, report, output = await ended(process, tmp_path / name)
        assert exit_code == code, output
        rows = {row["name"]: row for row in report["rows"]}
        assert rows["room:join"]["count"] == 10
        assert rows["gift:send"]["count"] > 2
        assert report["exit_code"] == code
        assert {"chat:send.p50_ms", "room:join.count"} <= {one["measure"] for one in report["thresholds"]}
        assert {"server memory MiB 0", "server memory MiB 1"} <= report["gauges"].keys()

    for name in ("quick", "slow"):
        (tmp_path / name).mkdir()
    await asyncio.gather(one("quick", 0.0, DONE), one("slow", 1.0, BROKEN))


async def test_a_worker_that_dies_fails_the_run_and_says_so(tmp_path: Path) -> None:
    async with on_locust(tmp_path, Faults()) as process:
        assert process.stdout is not None
        said = b""
        async with asyncio.timeout(60):
            while b"Sending spawn jobs" not in said:
                said += await process.stdout.readline()
        (coordinator,) = children(process.pid)
        os.kill(children(coordinator)[0], signal.SIGKILL)
        exit_code, report, output = await ended(process, tmp_path)
    assert exit_code == FAILED, output
    assert "died before it had sent" in report["failure"]
    assert "died before it had sent" in output


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_reserved_port_can_be_listened_on_and_is_given_to_nobody_else() -> None:
    with reserved_port() as port, reserved_port() as other, socket.socket() as listener:
        assert port != other
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
