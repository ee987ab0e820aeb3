"""The load tools against the real node: a mixed evening in small, recorded and replayed, and its death."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from loadtests.benchmarks import processes
from loadtests.clients.rest import Rest
from loadtests.clients.streams import Connection
from loadtests.exits import DONE, FAILED
from loadtests.measures import Measures
from loadtests.reports.summary import document
from loadtests.reports.terminal import final
from loadtests.traces.format import Command, Connect, Trace, read
from loadtests.traces.performance import Wish, perform
from loadtests.traces.pseudonyms import Pseudonyms
from loadtests.traces.recording import Recording
from loadtests.traffic.run import Result, play
from loadtests.traffic.scenario import Scenario, load, parse
from state.commands import COMMAND_TYPES
from tests.loadtests.test_traces import listens

pytestmark = pytest.mark.timeout(300)

KEY = "load-tests-service-key"
SAMPLE = Path(__file__).parents[2] / "loadtests" / "traces" / "sample.jsonl.gz"


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """One node for the tests of this file; each uses rooms of its own. -> its URL"""
    loop = asyncio.new_event_loop()
    context = processes.node(service_key=KEY)
    server = loop.run_until_complete(context.__aenter__())
    yield server.url
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


def small() -> Scenario:
    """Latencies are not judged here, where other tests run beside."""
    scenario = load("mixed").scaled(users=0.6, time=0.5)
    kept = {name: bound for name, bound in scenario.thresholds.items() if not name.endswith("_ms")}
    return msgspec.structs.replace(scenario, thresholds=kept)


async def crowded(url: str, people: int) -> None:
    """Until so many are in rooms together."""
    async with asyncio.timeout(60), Rest(url, KEY) as rest:
        while sum(room["online"] for room in (await rest.required("GET", "/v1/rooms"))["rooms"]) < people:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def recording(url: str, path: Path) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with Rest(url, KEY) as rest:
        recorder = Recording(rest, path, Pseudonyms(), [])
        task = asyncio.create_task(recorder.run(stop))
        await listens(recorder, task)
        yield
        stop.set()
        await task


def assert_done(result: Result) -> None:
    assert result.exit_code == DONE, final(document(result))


async def test_the_sample_trace_agrees_on_a_fresh_node(node: str) -> None:
    trace = read(SAMPLE)
    assert trace.intact
    result = await perform(trace, str(SAMPLE), node, KEY, Wish(0.0, check=True))
    assert_done(result)
    assert result.measures.counters["rooms compared"] == 2


async def test_every_threshold_of_the_mixed_scenario_holds(node: str) -> None:
    result = await play(small(), node, KEY)
    assert_done(result)
    assert result.measures.counters["recovered"] > 0
    assert result.measures.value("server memory MiB.max") is not None


async def test_what_was_recorded_is_answered_alike_at_every_speed(node: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    async with recording(node, path):
        assert_done(await play(small(), node, KEY))
    trace = read(path)
    assert trace.intact
    for speed in (1.0, 4.0, 0.0):
        result = await perform(trace, str(path), node, KEY, Wish(speed, check=True))
        assert_done(result)
        assert result.measures.counters["rooms compared"] == 2


def tampered(trace: Trace) -> Trace:
    """The same trace, one recorded chat text changed."""
    lines = list(trace.lines)
    position = next(
        number for number, line in enumerate(lines) if isinstance(line, Command) and line.e == "chat:send"
    )
    command = lines[position]
    assert isinstance(command, Command)
    lines[position] = msgspec.structs.replace(command, a={**command.a, "text": "something else"})
    return msgspec.structs.replace(trace, lines=lines)


async def test_a_text_changed_in_the_sample_is_caught_at_the_end_state(node: str) -> None:
    result = await perform(tampered(read(SAMPLE)), str(SAMPLE), node, KEY, Wish(0.0, check=True))
    assert result.exit_code == FAILED
    assert any("end state: chat" in text for text in result.measures.problems.values())


async def test_both_parsers_hear_the_same(node: str) -> None:
    class Ears:
        def __init__(self) -> None:
            self.events: list[tuple[str, int]] = []

        def on_event(self, _connection: Connection, name: str, body: object, _position: str | None) -> None:
            if isinstance(body, dict) and "seq" in body:
                self.events.append((name, body["seq"]))

        def on_lost(self, _connection: Connection, reason: str) -> None:
            raise AssertionError(reason)

    async with Rest(node, KEY) as rest:
        await rest.required("POST", "/v1/rooms", {"room_id": "ears", "owner_id": "o", "name": "ears"})
        heard = {}
        for parser in ("json", "msgpack"):
            heard[parser] = Ears()
            token = await rest.token("ears", parser)
            connection = Connection(node, token, heard[parser], parser=parser)
            await connection.connect()
            assert (await connection.call("room:join"))["ok"]
        for number in range(20):
            assert (await connection.call("sys:time", {"t0": number}))["ok"]
        assert (await connection.call("chat:send", {"text": "hi"}))["ok"]
        async with asyncio.timeout(30):
            while not all(("chat:message", ears.events[-1][1]) in ears.events for ears in heard.values()):
                await asyncio.sleep(0.02)
        assert heard["json"].events[-1] == heard["msgpack"].events[-1]


async def test_a_node_killed_in_the_middle_gives_1_and_a_report() -> None:
    async with processes.node(service_key=KEY) as server:
        run = asyncio.create_task(play(small(), server.url, KEY))
        await crowded(server.url, 10)
        await asyncio.sleep(2)
        os.kill(server.pid, signal.SIGKILL)
        result = await run
    assert result.exit_code == FAILED
    report = document(result)
    assert report["errors"]
    assert report["rows"]


TOUR = parse(
    {
        "name": "tour",
        "title": "Every command",
        "groups": [
            {"behaviour": "listener", "users": 1},
            {"behaviour": "tourist", "users": 1, "role": "admin"},
            {"behaviour": "tourist", "users": 1, "role": "admin", "parser": "msgpack"},
        ],
        "phases": [{"kind": "burst", "users": 3, "seconds": 7}],
    }
)
GREENLETS = """
import json, sys
from gevent import monkey; monkey.patch_all()
import gevent, msgspec
from loadtests.clients.greenlets import Connection, Rest, finish
from loadtests.measures import Measures
from loadtests.traffic.observing import Stage
from loadtests.traffic.player import Player
from loadtests.traffic.scenario import Scenario
from loadtests.traffic.world import equip, make_rooms, people
scenario = msgspec.json.decode(sys.argv[1], type=Scenario)
url, key = sys.argv[2:]
rest, measures = Rest(url, key), Measures()
finish(make_rooms(scenario, rest, scenario.name))
users = people(scenario, scenario.name, key)
for user in users:
    finish(equip(scenario, rest, user))
stage = Stage(url, measures)
players = [Player(stage, Connection, rest, user) for user in users]
gevent.joinall([gevent.spawn(finish, player.play()) for player in players], raise_error=True)
print(json.dumps(measures.pack()))
"""


def assert_toured(measures: Measures) -> None:
    """Both tourists said everything, and nothing was an error."""
    errors = {name: dict(series.errors) for name, series in measures.series.items() if series.errors}
    assert errors == {}, measures.problems
    said = {name: series.whole.total for name, series in measures.series.items() if name in COMMAND_TYPES}
    assert set(said) == set(COMMAND_TYPES)
    assert min(said.values()) >= 2


async def test_the_asyncio_user_says_every_command_in_both_encodings(node: str) -> None:
    assert_toured((await play(TOUR, node, KEY)).measures)


def test_the_gevent_user_says_every_command_in_both_encodings(node: str) -> None:
    assert_toured(on_gevent(TOUR, node))


def on_gevent(scenario: Scenario, url: str) -> Measures:
    words = [sys.executable, "-c", GREENLETS, msgspec.json.encode(scenario).decode(), url, KEY]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    measures = Measures()
    measures.merge(msgspec.json.decode(done.stdout))
    return measures


COMING_BACK = parse(
    {
        "name": "coming-back",
        "title": "Phones that lose their connection, by every transport",
        "groups": [
            {"behaviour": "talker", "users": 1, "every_seconds": 0.2},
            *(
                {
                    "behaviour": "flapper",
                    "users": 2,
                    "every_seconds": 1.5,
                    "parser": parser,
                    "transport": transport,
                    "parameters": {"offline_seconds": 0.5},
                }
                for transport, parser in (
                    ("websocket", "json"),
                    ("polling", "json"),
                    ("polling", "msgpack"),
                    ("upgrade", "json"),
                    ("upgrade", "msgpack"),
                )
            ),
        ],
        "phases": [{"kind": "burst", "users": 11, "seconds": 5.5}],
    }
)


def assert_came_back(measures: Measures) -> None:
    """Everybody lost the connection and got it back with all that was said meanwhile, in order, once."""
    errors = {name: dict(series.errors) for name, series in measures.series.items() if series.errors}
    assert errors == {}, measures.problems
    counters = measures.counters
    assert counters["recovered"] >= 10
    assert not any(counters[name] for name in ("not_recovered", "seq_gaps", "seq_repeats"))
    assert counters["events"] > 11 * 10


async def test_the_asyncio_user_comes_back_by_every_transport(node: str) -> None:
    assert_came_back((await play(COMING_BACK, node, KEY)).measures)


def test_the_gevent_user_comes_back_by_every_transport(node: str) -> None:
    assert_came_back(on_gevent(COMING_BACK, node))


async def test_a_recording_that_begins_in_the_middle_builds_the_room_it_met(
    node: str, tmp_path: Path
) -> None:
    path = tmp_path / "middle.jsonl"
    run = asyncio.create_task(play(small(), node, KEY))
    # Everybody has arrived, seats are taken, chat and gifts are under way.
    await asyncio.sleep(3)
    async with recording(node, path):
        assert_done(await run)
    trace = read(path)
    assert any(isinstance(line, Connect) and line.standing for line in trace.lines)
    result = await perform(trace, str(path), node, KEY, Wish(0.0, check=True))
    assert_done(result)


TALK = parse(
    {
        "name": "talk",
        "title": "Two who talk and three who listen",
        "groups": [
            {"behaviour": "speaker", "users": 2, "audio": "speak"},
            {"behaviour": "listener", "users": 3, "audio": "listen"},
        ],
        "phases": [{"kind": "burst", "users": 5, "seconds": 6}],
        "thresholds": {
            "audio connect.count": {"at_least": 5},
            "audio delay.count": {"at_least": 300},
            "audio_missing.count": {"at_most": 0},
            "audio_damaged.count": {"at_most": 0},
            "audio_repeated.count": {"at_most": 0},
        },
    }
)


async def test_who_talks_in_a_scenario_is_heard_whole(node: str) -> None:
    assert_done(await play(TALK, node, KEY))
