"""A scenario on locust's workers: the same scripts, thresholds and reports as `flylive scenario`.

    locust -f loadtests/locustfile.py --headless --processes 4 --scenario chat --flylive-url http://... \
        --service-key KEY --reports out/

or `flylive scenario chat --workers 4`. Rooms are made once by whoever coordinates; each worker plays every
n-th user and sends what it observed; the coordinator adds up, judges, reports, and sets the exit code. Each
observation is also told to locust, so its own page and statistics work.
"""

import functools
import logging
import os
import secrets
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust import User as LocustUser
from locust import constant, events, task
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from loadtests.clients.greenlets import Connection, Rest, finish
from loadtests.clients.rest import UNREACHABLE, CallFailed
from loadtests.measures import Measures
from loadtests.reports.files import write
from loadtests.reports.summary import document
from loadtests.reports.terminal import final
from loadtests.traffic.observing import Stage
from loadtests.traffic.player import Player
from loadtests.traffic.run import Result, judge
from loadtests.traffic.scenario import Scenario, load
from loadtests.traffic.steps import User
from loadtests.traffic.watching import LOAD_CPU, OwnUsage, ServerUsage, own_warnings, server_usages, watch
from loadtests.traffic.world import equip, make_rooms, people, settle_money

MESSAGE = "flylive_part"
LOOK_SECONDS = 1.0
# A worker that has been silent for so long, after locust already misses it, is given up.
SILENT_SECONDS = 5.0
SHOWN_FAILURES = 3
LOG = logging.getLogger("flylive")


class ToldMeasures(Measures):
    """Measures that locust hears of too (not the events: a thousand listeners would drown its statistics)."""

    def success(self, name: str, clock: float, latency_seconds: float) -> None:
        super().success(name, clock, latency_seconds)
        if not name.startswith("event ") and name != "lag":
            self.tell(name, latency_seconds, None)

    def failed(self, name: str, clock: float, code: str, example: str = "") -> None:
        super().failed(name, clock, code, example)
        self.tell(name, 0.0, RuntimeError(code))

    def tell(self, name: str, latency_seconds: float, problem: Exception | None) -> None:
        events.request.fire(
            request_type="CALL",
            name=name,
            response_time=latency_seconds * 1000,
            response_length=0,
            exception=problem,
            context={},
        )


class Part:
    """What this process plays of the scenario, and, in the coordinator, the sum of all parts."""

    def __init__(self, environment: Any):
        self.environment = environment
        self.measures: Measures = ToldMeasures()
        self.heard_from: set[str] = set()
        self.failures: list[str] = []
        self.started_at = time.time()
        self.users: list[User] = []
        self.playing = self.equipped = self.expected = 0
        self.open = Event()
        self.concluded = False

    @property
    def options(self) -> Any:
        return self.environment.parsed_options

    @functools.cached_property
    def scenario(self) -> Scenario:
        return load(self.options.scenario)

    def rest(self) -> Rest:
        return Rest(self.options.flylive_url, self.options.service_key)

    def begin(self) -> None:
        """On a worker, or alone: who is to be played here. In the coordinator: watch the server."""
        runner, options = self.environment.runner, self.options
        self.started_at = time.time()
        self.stage = Stage(options.flylive_url, self.measures)
        if not isinstance(runner, WorkerRunner):
            servers = [Rest(url, "") for url in (options.flylive_url, *options.metrics_url)]
            for usage in server_usages(self.stage, servers):
                finish(usage.sample())
                self.watch(usage)
        if isinstance(runner, MasterRunner):
            gevent.spawn(self.watch_workers)
            return
        part = (runner.worker_index, options.expect_workers) if isinstance(runner, WorkerRunner) else (0, 1)
        self.users = people(self.scenario, options.run_id, options.service_key, part)
        self.expected = len(self.users)
        name = f"{LOAD_CPU} {os.getpid()}" if part[1] > 1 else LOAD_CPU
        self.watch(OwnUsage(self.stage, name))

    def watch(self, usage: OwnUsage | ServerUsage) -> None:
        gevent.spawn(finish, watch(self.stage, Connection.machinery, usage))

    def watch_workers(self) -> None:
        """In the coordinator: a worker that dies takes its observations with it, so the run has failed."""
        runner, seen = self.environment.runner, {}
        known = tuple(runner.clients)
        while not self.concluded:
            now = time.monotonic()
            for worker in known:
                client = runner.clients.get(worker)
                if worker in self.heard_from or (client is not None and client.state != STATE_MISSING):
                    seen[worker] = now
                elif now - seen.get(worker, 0.0) > SILENT_SECONDS:
                    self.fail(f"worker {worker} died before it had sent what it observed")
                    self.heard(worker)
            gevent.sleep(LOOK_SECONDS)

    def equipped_one(self) -> None:
        """The clock of this process starts when all its users have their tokens."""
        self.equipped += 1
        if self.equipped == self.expected:
            self.stage.begin()
            self.open.set()
        self.open.wait()

    def finished_one(self) -> None:
        """A user of this process is through. The last one sends the observations."""
        self.playing -= 1
        if self.playing or self.users:
            return
        self.stage.over = True
        runner = self.environment.runner
        if isinstance(runner, WorkerRunner):
            runner.send_message(MESSAGE, {"measures": self.measures.pack(), "failures": self.failures})
        else:
            self.conclude()

    def fail(self, failure: str) -> None:
        """The run has failed, whatever else it shows."""
        LOG.error("%s", failure)
        self.failures.append(failure)

    def give_up(self, failure: str) -> None:
        """It could not even be prepared: nobody here plays."""
        self.fail(failure)
        self.stage.over = True
        self.open.set()

    def receive(self, environment: Any, msg: Any, **_: Any) -> None:  # noqa: ARG002 - locust's names
        """A worker's observations."""
        self.measures.merge(msg.data["measures"])
        self.failures += msg.data["failures"]
        self.heard(msg.node_id)

    def heard(self, worker: str) -> None:
        self.heard_from.add(worker)
        if len(self.heard_from) == self.options.expect_workers and not self.concluded:
            self.conclude()

    def conclude(self) -> None:
        scenario, measures = self.scenario, self.measures
        self.concluded = self.stage.over = True
        verdicts, seconds = judge(scenario, measures), time.time() - self.started_at
        warnings = own_warnings(measures)
        failure = "; ".join(self.failures[:SHOWN_FAILURES]) or None
        result = Result(scenario, measures, verdicts, self.started_at, seconds, warnings, failure)
        report = document(result)
        LOG.info("\n%s", final(report))
        if self.options.reports:
            write(report, Path(self.options.reports))
        self.environment.process_exit_code = result.exit_code
        gevent.spawn(self.environment.runner.quit)


class RoomUser(LocustUser):
    """One locust user plays one user of the scenario, once."""

    wait_time = constant(3600)

    @task
    def play(self) -> None:
        part: Part = self.environment.flylive
        user = part.users.pop(0) if part.users else None
        if user is None:
            return
        part.playing += 1
        try:
            rest, scenario = part.rest(), part.scenario
            try:
                finish(equip(scenario, rest, user))
            except (CallFailed, *UNREACHABLE) as problem:
                part.give_up(f"could not prepare {user.user_id}: {problem}")
                return
            part.equipped_one()
            sampled = user.number % scenario.latency_sample == 0
            finish(Player(part.stage, Connection, rest, user, sampled).play())
            try:
                finish(settle_money(scenario, rest, user, part.measures))
            except (CallFailed, *UNREACHABLE) as problem:
                part.fail(f"could not check the wallet of {user.user_id}: {problem}")
        finally:
            part.finished_one()


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.add_argument("--scenario", default="chat", help="a TOML file or a shipped scenario's name")
    parser.add_argument("--flylive-url", default="http://127.0.0.1:8080")
    parser.add_argument("--metrics-url", action="append", default=[], help="more nodes to watch")
    parser.add_argument("--service-key", default=os.environ.get("FLYLIVE_SERVICE_KEY", ""), is_secret=True)
    parser.add_argument("--reports", default="", help="directory for HTML, CSV, JSON, JUnit")
    parser.add_argument("--run-id", default="", help="part of every id of this run")


@events.init.add_listener
def prepare(environment: Any, runner: Any, **_: Any) -> None:
    part = environment.flylive = Part(environment)
    options = environment.parsed_options
    if isinstance(runner, WorkerRunner):
        return
    # Options of the coordinator travel to its workers.
    options.run_id = options.run_id or secrets.token_hex(4)
    options.num_users = part.scenario.user_count
    options.spawn_rate = float(part.scenario.user_count)
    if isinstance(runner, MasterRunner):
        runner.register_message(MESSAGE, part.receive)
    try:
        finish(make_rooms(part.scenario, part.rest(), options.run_id))
    except (CallFailed, *UNREACHABLE) as problem:
        raise SystemExit(f"could not prepare: {problem}") from problem


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    environment.flylive.begin()


@events.spawning_complete.add_listener
def all_there(user_count: int, **_: Any) -> None:
    LOG.info("%d users are ready", user_count)
