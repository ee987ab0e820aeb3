"""The benchmark harness: figures are medians, limits are judged, exit codes say how it went."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from loadtests import peers
from loadtests.benchmarks import runner, usage
from loadtests.benchmarks.figures import (
    Options,
    Report,
    Sample,
    at_least,
    at_most,
    figure,
    in_turn,
    judge,
    ratio,
)
from loadtests.benchmarks.runner import Benchmark, discover, exit_code, main, run_all
from loadtests.clients.connection import Refused
from loadtests.clients.streams import Connection
from loadtests.exits import BROKEN, DONE, FAILED

QUIET = Options(log=False)


def benchmark(value: float | None, limit: float = 10.0) -> Benchmark:
    async def run(options: Options) -> Report:
        if value is None:
            raise RuntimeError("the server is gone")
        return Report((figure("cost", "us", [value] * options.repeats),))

    return Benchmark("one", "a cost", {"cost": at_most(limit)}, run)


@pytest.mark.parametrize(("value", "code"), [(5.0, DONE), (15.0, BROKEN), (None, FAILED)])
async def test_the_exit_code_says_how_it_went(value: float | None, code: int) -> None:
    outcomes = await run_all([benchmark(5.0), benchmark(value)], QUIET)
    assert exit_code(outcomes) == code


def test_a_figure_is_the_median_of_its_runs_and_a_ratio_that_of_its_rounds() -> None:
    ours, theirs = figure("x", "us", [1.0, 9.0, 2.0]), figure("x", "us", [2.0, 3.0, 2.0], "node")
    assert ours.value == 2.0
    assert ratio("x_ratio", ours, theirs).value == 1.0


def test_a_limit_on_a_figure_that_is_missing_is_broken() -> None:
    report = Report((figure("there", "us", [1.0]),))
    verdicts = judge(report, {"there": at_least(1.0), "missing": at_least(1.0)})
    assert [verdict.held for verdict in verdicts] == [True, False]


async def test_subjects_take_turns() -> None:
    order: list[str] = []

    def subject(name: str) -> object:
        async def measure() -> Sample:
            order.append(name)
            return {"x": float(len(order))}

        return measure

    found = await in_turn({"a": subject("a"), "b": subject("b")}, {"x": "us"}, QUIET)  # type: ignore[dict-item]
    assert order == ["a", "b"] * 3
    assert found["a"]["x"].runs == (1.0, 3.0, 5.0)


def test_every_benchmark_declares_what_it_is() -> None:
    found = discover()
    assert {"units", "peers"} <= found.keys()
    for one in found.values():
        assert one.measures
        assert callable(one.run)


def test_a_wrong_name_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-benchmark"]) == 2
    assert "units" in capsys.readouterr().err


def test_the_json_has_machine_figures_and_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "discover", lambda: {"one": benchmark(15.0)})
    assert main(["all", "--json", str(tmp_path / "out.json")]) == BROKEN
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["machine"]["cores"] >= 1
    (entry,) = document["benchmarks"]
    assert entry["figures"][0]["runs"] == [15.0] * 3
    assert entry["limits"] == [
        {"figure": "cost", "direction": "at_most", "bound": 10.0, "value": 15.0, "held": False}
    ]


async def test_every_limit_of_a_run_is_told_at_its_end() -> None:
    outcomes = await run_all([benchmark(5.0), benchmark(15.0), benchmark(None)], QUIET, 1)
    told = runner.verdicts(outcomes)
    assert "5      <= 10 held" in told
    assert "15     <= 10 BROKEN" in told
    assert "FAILED" in told
    assert told.endswith("0.0 minutes")


async def test_what_was_measured_is_kept_after_each_benchmark() -> None:
    kept: list[int] = []
    await run_all([benchmark(5.0), benchmark(None)], QUIET, 1, lambda outcomes: kept.append(len(outcomes)))
    assert kept == [1, 2]


async def test_a_benchmark_may_want_more_runs_than_others_and_the_command_line_has_the_last_word() -> None:
    wanting = msgspec.structs.replace(benchmark(5.0), repeats=5)
    for repeats, runs in ((None, 5), (1, 1)):
        (outcome,) = await run_all([wanting], QUIET, repeats)
        assert outcome.report is not None
        assert len(outcome.report.figures[0].runs) == runs


def test_cpu_time_counts_the_tree_and_what_has_ended() -> None:
    burn = "import time; t=time.process_time()\nwhile time.process_time()-t<0.3: pass"
    script = f"import subprocess,sys,time; subprocess.run([sys.executable,'-c',{burn!r}]); time.sleep(30)"
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        deadline = time.monotonic() + 20
        while usage.tree_cpu_seconds(child.pid) < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        spent, own = usage.tree_cpu_seconds(child.pid), usage.cpu_seconds(child.pid)
        child.kill()
    assert spent >= 0.3
    assert own < spent
    assert usage.cpu_seconds(child.pid) == 0.0
    assert usage.memory_bytes(os.getpid()) > 1_000_000


@pytest.mark.node
@pytest.mark.timeout(300)
@pytest.mark.parametrize("parser", ["json", "msgpack"])
async def test_the_node_peer_has_the_same_room(parser: str) -> None:
    async with peers.node(parser) as peer:
        await same_room(peer.url, parser)


async def test_the_python_peer_has_the_same_room() -> None:
    async with peers.python_socketio() as peer:
        await same_room(peer.url, "json")


async def same_room(url: str, parser: str) -> None:
    class Ears:
        def __init__(self) -> None:
            self.heard: list[str] = []

        def on_event(self, _connection: Connection, name: str, _body: object, _position: str | None) -> None:
            self.heard.append(name)

        def on_lost(self, _connection: Connection, _reason: str) -> None:
            pass

    auth = {"token": peers.TOKEN, "room_id": "r", "user_id": "u"}
    ears = Ears()
    member = Connection(url, "", ears, parser=parser, auth=auth)
    await member.connect()
    for name, fields in (("room:join", {}), ("seat:take", {"index": 1}), ("chat:send", {"text": "hi"})):
        assert (await member.call(name, fields))["ok"], name
    async with asyncio.timeout(30):
        while "chat:message" not in ears.heard:
            await asyncio.sleep(0.01)
    member.leave()
    with pytest.raises(Refused):
        await Connection(url, "", parser=parser, auth={"token": "wrong"}).connect()


def test_a_server_ends_with_the_benchmark_that_was_killed() -> None:
    bench = """
import asyncio, sys
from loadtests import peers
async def main():
    async with peers.python_socketio() as peer:
        print(peer.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", bench], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 20
    while usage.command_line(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not usage.command_line(pid)
