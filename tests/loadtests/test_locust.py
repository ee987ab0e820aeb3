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

import pytest

from loadtests.clients.rest import Rest
from loadtests.exits import BROKEN, DONE, FAILED
from loadtests.traffic.command import reserved_port
from tests.loadtests.double import SERVICE_KEY, Faults, double

pytestmark = pytest.mark.timeout(300)

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


class Server(contextlib.AsyncExitStack):
    """The double of a run; closed, it is gone."""

    url = ""


@contextlib.asynccontextmanager
async def on_locust(
    directory: Path, faults: Faults
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Server]]:
    """A run of the scenario on two workers, and its server."""
    directory.mkdir(exist_ok=True)  # noqa: ASYNC240 - a moment
    path = directory / "mixed.toml"
    path.write_text(SCENARIO)
    async with Server() as server:
        server.url = await server.enter_async_context(double(faults))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COMMAND, str(path), "--url", server.url),
            *("--workers", "2", "--reports", str(directory), "--threshold", "chat:send.p50_ms<=800"),
            *("--metrics", server.url),
            env={**os.environ, "FLYLIVE_SERVICE_KEY": SERVICE_KEY},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process, server
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def said(process: asyncio.subprocess.Process, text: bytes) -> None:
    assert process.stdout is not None
    line = b""
    async with asyncio.timeout(60):
        while text not in line:
            line = await process.stdout.readline()
            assert line or process.returncode is None, f"never said {text!r}"


async def crowded(url: str, people: int) -> None:
    """Until so many have come to the server's one room."""
    async with asyncio.timeout(60), Rest(url, SERVICE_KEY) as rest:
        online = 0
        while online < people:
            for room in (await rest.required("GET", "/v1/rooms"))["rooms"]:
                online = (await rest.snapshot(room["room_id"]))["online"]
            await asyncio.sleep(0.1)


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
        async with on_locust(tmp_path / name, Faults(slow_seconds=slow_seconds)) as (process, _):
            exit_code, report, output = await ended(process, tmp_path / name)
        assert exit_code == code, output
        rows = {row["name"]: row for row in report["rows"]}
        assert rows["room:join"]["count"] == 10
        assert rows["gift:send"]["count"] >= 2
        assert report["exit_code"] == code
        assert {"chat:send.p50_ms", "room:join.count"} <= {one["measure"] for one in report["thresholds"]}
        assert {"server memory MiB 0", "server memory MiB 1"} <= report["gauges"].keys()

    await asyncio.gather(one("quick", 0.0, DONE), one("slow", 1.0, BROKEN))


async def test_a_worker_or_a_server_that_dies_fails_the_run_and_says_so(tmp_path: Path) -> None:
    async def dead_worker(directory: Path) -> None:
        async with on_locust(directory, Faults()) as (process, _):
            await said(process, b"Sending spawn jobs")
            (coordinator,) = children(process.pid)
            os.kill(children(coordinator)[0], signal.SIGKILL)
            exit_code, report, output = await ended(process, directory)
        assert exit_code == FAILED, output
        assert "died before it had sent" in report["failure"]
        assert "died before it had sent" in output

    async def dead_server(directory: Path) -> None:
        async with on_locust(directory, Faults()) as (process, server):
            await crowded(server.url, 8)
            await server.aclose()
            exit_code, report, output = await ended(process, directory)
        assert exit_code == FAILED, output
        assert report["errors"]
        assert report["failure"], output

    await asyncio.gather(dead_worker(tmp_path / "worker"), dead_server(tmp_path / "server"))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_reserved_port_can_be_listened_on_and_is_given_to_nobody_else() -> None:
    with reserved_port() as port, reserved_port() as other, socket.socket() as listener:
        assert port != other
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
