"""Servers that a test starts itself, alone or as a cluster of three, and may stop, pause and lose."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from loadtests.benchmarks.processes import free_port
from realtime.embedded import binaries
from realtime.embedded.child import die_with_parent

_READY_SECONDS = 60.0
BUS_ABOVE = 10_000


def bus_port() -> int:
    """A free port whose neighbour `BUS_ABOVE` it, where members of a cluster talk, is free too."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.socket() as bus:
            bus.bind(("127.0.0.1", port + BUS_ABOVE))
            return port


def await_true(condition: Callable[[], bool], what: str, seconds: float = _READY_SECONDS) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class ServerProcess:
    """One server on a TCP port of this machine, with a directory of its own."""

    def __init__(self, program: Path | None = None, port: int | None = None, **options: str) -> None:
        self._program = binaries.valkey_server() if program is None else program
        self.directory = Path(tempfile.mkdtemp(prefix="flylive-server-"))
        self.port = free_port() if port is None else port
        self._options = {"save": "", "appendonly": "no", "loglevel": "warning"} | options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=20)

    def start(self) -> ServerProcess:
        words: list[str] = []
        for name, value in self._options.items():
            words += [f"--{name.replace('_', '-')}", value]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "--port", str(self.port), "--bind", "127.0.0.1", *words],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509
            )
        await_true(self._answers, f"{self._program.name} answers")
        return self

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError((self.directory / "log").read_text()[-2000:])
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """Die at once, whatever was not written is gone."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)
            self._process.wait()

    def cpu_seconds(self) -> float:
        """What the process has used so far."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _text(client: redis.Redis, *command: str) -> str:
    return bytes(client.execute_command(*command, NEVER_DECODE=True)).decode()


class ClusterProcesses:
    """Three masters that share the slots."""

    def __init__(self) -> None:
        self.nodes: list[ServerProcess] = []
        self.replicas: list[ServerProcess] = []

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    def start(self) -> ClusterProcesses:
        for _ in range(3):
            port = bus_port()
            node = ServerProcess(port=port, cluster_enabled="yes", cluster_node_timeout="2000")
            self.nodes.append(node.start())
        bounds = [0, 5461, 10923, 16384]
        for index, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[index], bounds[index + 1] - 1)
                for other in self.nodes:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        await_true(lambda: all(self._is_whole(node) for node in self.nodes), "the cluster is whole")
        return self

    def add_replica(self, index: int) -> ServerProcess:
        """A replica of one master, up to date and ready to take over."""
        master = self.nodes[index]
        port = bus_port()
        replica = ServerProcess(port=port, cluster_enabled="yes", cluster_node_timeout="2000").start()
        self.replicas.append(replica)
        with master.client() as client, replica.client() as other:
            other.execute_command("CLUSTER", "MEET", "127.0.0.1", master.port)
            name = bytes(client.execute_command("CLUSTER", "MYID", NEVER_DECODE=True)).decode()
            await_true(lambda: name in _text(other, "CLUSTER", "NODES"), "the replica knows its master")
            other.execute_command("CLUSTER", "REPLICATE", name)
            await_true(lambda: other.info("replication").get("master_link_status") == "up", "it is linked")
            await_true(
                lambda: all(str(port) in _text(node.client(), "CLUSTER", "NODES") for node in self.nodes),
                "all masters know the replica",
            )
        return replica

    def owner_of(self, slot: int) -> int:
        """Which master serves a slot."""
        return 0 if slot < 5461 else 1 if slot < 10923 else 2

    def _is_whole(self, node: ServerProcess) -> bool:
        with node.client() as client:
            information = _text(client, "CLUSTER", "INFO")
        return "cluster_state:ok" in information and "cluster_known_nodes:3" in information

    def flush(self) -> None:
        for node in self.nodes:
            with node.client() as client:
                client.flushall()

    def close(self) -> None:
        for node in (*self.nodes, *self.replicas):
            node.close()
