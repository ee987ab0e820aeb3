"""Recorded, replayed, compared: the same server agrees at every speed, a changed trace or server does not."""

import asyncio
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from loadtests.clients.rest import Rest
from loadtests.exits import DONE, FAILED
from loadtests.reports.summary import document
from loadtests.reports.terminal import final
from loadtests.traces.command import preview
from loadtests.traces.format import Trace, TraceUnreadable, read
from loadtests.traces.performance import Wish, perform
from loadtests.traces.pseudonyms import Pseudonyms
from loadtests.traces.recording import Recording
from loadtests.traffic.run import Result, play
from tests.loadtests.double import SERVICE_KEY, Faults, double
from tests.loadtests.scenarios import mixed


async def listens(recorder: Recording, task: asyncio.Task[int]) -> None:
    """Until it has written how it met the rooms: from now on it hears everything."""
    async with asyncio.timeout(60):
        while not recorder.writer.count:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)


async def recorded(url: str, path: Path, raw: bool = False) -> Trace:
    """A trace of the mixed scenario."""
    stop = asyncio.Event()
    async with Rest(url, SERVICE_KEY) as rest:
        recorder = Recording(rest, path, Pseudonyms(raw), [])
        recording = asyncio.create_task(recorder.run(stop))
        await listens(recorder, recording)
        result = await play(mixed(), url, SERVICE_KEY)
        assert result.exit_code == DONE, final(document(result))
        stop.set()
        await recording
    return read(path)


@pytest.fixture(scope="module")
def trace_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recorded once for all tests of this file."""
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl"

    async def record() -> None:
        async with double() as url:
            await recorded(url, path)

    asyncio.run(record())
    return path


@pytest.fixture
def trace(trace_file: Path) -> Trace:
    return read(trace_file)


async def replayed(trace: Trace, wish: Wish, faults: Faults | None = None) -> Result:
    async with double(faults) as url:
        return await perform(trace, "mixed.jsonl", url, SERVICE_KEY, wish)


@pytest.mark.parametrize("speed", [1.0, 4.0, 0.0], ids=["1x", "4x", "max"])
async def test_a_fresh_server_answers_as_the_recorded_one(trace: Trace, speed: float) -> None:
    result = await replayed(trace, Wish(speed, check=True))
    assert result.exit_code == DONE, final(document(result))
    assert result.measures.counters["rooms compared"] == 2
    assert result.measures.series["chat:send"].whole.total > 10


async def test_a_server_that_answers_otherwise_is_caught(trace: Trace) -> None:
    result = await replayed(trace, Wish(0.0, check=True), Faults(refuse={"mic:set": "FORBIDDEN"}))
    assert result.exit_code == FAILED
    assert result.measures.series["check"].errors["DIFFERS"] > 0


async def test_a_server_that_ends_in_another_state_is_caught(trace: Trace) -> None:
    result = await replayed(trace, Wish(0.0, check=True), Faults(wrong_seats=True))
    assert result.exit_code == FAILED
    assert any("end state: seats" in text for text in result.measures.problems.values())


def changed(path: Path, find: str, replace: str) -> Trace:
    text = path.read_text()
    assert find in text
    path.write_text(text.replace(find, replace, 1))
    return read(path)


async def test_a_changed_trace_is_caught_by_its_digest_and_by_its_answers(
    trace_file: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(trace_file, tmp_path))
    trace = changed(path, '"data":{"seat":{"index":1,', '"data":{"seat":{"index":5,')
    assert not trace.intact
    result = await replayed(trace, Wish(0.0, check=True))
    assert result.exit_code == FAILED
    assert {"TRACE_CHANGED", "DIFFERS"} <= result.measures.series["check"].errors.keys()


def test_a_trace_that_was_cut_is_refused(trace_file: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(trace_file, tmp_path))
    path.write_text("\n".join(path.read_text().splitlines()[:-5]))
    with pytest.raises(TraceUnreadable, match="an end line"):
        read(path)


async def test_copies_play_in_rooms_of_their_own(trace: Trace) -> None:
    result = await replayed(trace, Wish(4.0, clones=3))
    assert result.exit_code == DONE, final(document(result))
    assert result.measures.series["room:join"].whole.total == 90


async def test_loops_play_again(trace: Trace) -> None:
    result = await replayed(trace, Wish(0.0, rounds=2, check=True))
    assert result.exit_code == DONE, final(document(result))
    assert result.measures.counters["rooms compared"] == 4


async def test_a_slow_server_does_not_slow_the_replay(trace: Trace) -> None:
    """Open loop: commands leave at their time, and the latency is all theirs."""
    result = await replayed(trace, Wish(4.0), Faults(slow_seconds=0.5))
    late = result.measures.value("lag.p50_ms")
    slow = result.measures.value("chat:send.p50_ms")
    assert late is not None
    assert slow is not None
    assert late < 200
    assert slow > 400


async def test_silences_are_cut_to_the_longest_gap(trace: Trace) -> None:
    lines = preview(trace, Wish(1.0, max_gap=0.01)).splitlines()
    assert "intact" in lines[0]
    seconds = float(lines[0].split()[2])
    assert seconds < float(preview(trace, Wish(1.0)).split()[2])


async def test_nothing_of_the_people_stays_in_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl.gz"
    async with double() as url:
        trace = await recorded(url, path)
    text = gzip.decompress(path.read_bytes()).decode()
    for word in ("talker-", "gifter-", "speaker-", "owner-", "mixed", "hello", "welcome"):
        assert word not in text
    assert trace.header.redactions == ["ids", "texts", "secrets"]


async def test_a_raw_recording_keeps_everything_but_secrets(tmp_path: Path) -> None:
    async with double() as url:
        await recorded(url, tmp_path / "trace.jsonl", raw=True)
    assert "talker-" in (tmp_path / "trace.jsonl").read_text()


def test_an_alias_is_the_same_wherever_the_id_stands() -> None:
    names = Pseudonyms(salt=b"salt")
    body: dict[str, Any] = {
        "by": "anna",
        "user": {"user_id": "anna", "name": "Anna"},
        "recipients": ["bea", "anna"],
        "gift_id": "rose",
        "text": "hi",
    }
    told = names.walk(body)
    assert told["by"] == told["user"]["user_id"] == told["recipients"][1] == "u1"
    assert told["recipients"][0] == "u2"
    assert told["gift_id"] == "rose"
    assert len(told["user"]["name"]) == 4
    assert json.dumps(told).find("Anna") == -1
    assert names.walk(body) == told
