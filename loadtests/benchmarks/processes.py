"""Servers as processes: start one on a free port with its own data directory, wait until ready, stop by pid.

    async with node(options) as server:          # flylive serve, everything embedded
        before = server.cpu_seconds()
        ...
    async with process("peer", [node_binary, "server.js", "{port}"], "/healthz") as peer: ...

Stopping is SIGTERM to the one process we started, then, after a grace, SIGKILL to the members of its tree.
"""

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp

from loadtests.benchmarks import usage

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
# Below what Linux, macOS and the BSDs choose from.
_PORTS = range(12_000, 22_000)
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """One that the system gives to nobody who asks for any: it is still free when the server takes it."""
    while True:
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """One started server: where it listens, what it costs, how to stop it."""

    def __init__(self, name: str, child: "subprocess.Popen[bytes]", port: int, log: Path, service_key: str):
        self.name, self.child, self.port, self.log = name, child, port, log
        self.service_key = service_key
        self.url = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        return self.child.pid

    def cpu_seconds(self) -> float:
        """CPU time of this process alone: the node without its databases and media workers."""
        return usage.cpu_seconds(self.pid)

    def tree_cpu_seconds(self) -> float:
        return usage.tree_cpu_seconds(self.pid)

    def part_cpu_seconds(self, *words: str) -> float:
        """CPU time of the members of the tree named by words of their command line ("valkey", "postgres")."""
        return sum(usage.cpu_seconds(pid) for pid in usage.find_in_tree(self.pid, *words))

    def memory_bytes(self) -> int:
        return usage.memory_bytes(self.pid)

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    async def ready(self, path: str, seconds: float = READY_SECONDS) -> None:
        """Wait until GET path answers 200; a server that died or stays silent raises with its last lines."""
        deadline = time.monotonic() + seconds
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while time.monotonic() < deadline:
                if self.child.poll() is not None:
                    raise RuntimeError(f"{self.name} ended with {self.child.returncode}:\n{self.log_tail()}")
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(self.url + path) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.05)
        raise RuntimeError(f"{self.name} was not ready within {seconds:.0f} s:\n{self.log_tail()}")

    async def stop(self) -> None:
        members = usage.tree(self.pid) if self.child.poll() is None else []
        if members:
            self.child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.child.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if self.child.poll() is None:
            for pid in reversed(members):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.child.wait()


def _end_with_parent() -> None:
    """In the child: be told to stop when the benchmark dies, however it dies."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def _passable_directory() -> Iterator[Path]:
    """As root, Postgres runs under an account of its own, which must be able to pass."""
    with tempfile.TemporaryDirectory(prefix="flylive-bench-") as place:
        Path(place).chmod(0o711)
        yield Path(place)


def _start(
    words: list[str], log: Path, directory: Path | None, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=environment,
            start_new_session=True,
            # One call into libc and nothing else: safe between fork and exec, threads or not.
            preexec_fn=_end_with_parent,  # noqa: PLW1509
        )


@contextlib.asynccontextmanager
async def process(
    name: str,
    command: Sequence[str],
    ready_path: str,
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    service_key: str = "",
) -> AsyncIterator[Process]:
    """Start a command; "{port}" and "{data}" in it stand for a free port and a fresh data directory."""
    with _passable_directory() as place:
        port, log, data = free_port(), place / "server.log", place / "data"
        words = [word.replace("{port}", str(port)).replace("{data}", str(data)) for word in command]
        # Settings of the caller's environment are not those of the server to be measured.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLYLIVE_")}
        child = _start(words, log, directory, kept | dict(environment or {}))
        server = Process(name, child, port, log, service_key)
        try:
            await server.ready(ready_path)
            yield server
        finally:
            await server.stop()


def flylive(*words: str) -> list[str]:
    """The command line of our own program, in this interpreter."""
    return [sys.executable, "-P", "-m", "realtime.cli", *words]


@contextlib.asynccontextmanager
async def node(
    *flags: str, environment: Mapping[str, str] | None = None, service_key: str | None = None
) -> AsyncIterator[Process]:
    """`flylive serve` with embedded servers, ready, with a service key of its own."""
    key = service_key or f"bench-{secrets.token_hex(16)}"
    media = {"FLYLIVE_SFU_WORKERS": "1", "FLYLIVE_SFU_PORT": "0"}
    values = {"FLYLIVE_SERVICE_KEY": key, **media, **(environment or {})}
    words = flylive("serve", "--host", "127.0.0.1", "--port", "{port}", "--data-dir", "{data}", *flags)
    async with process("flylive", words, "/readyz", environment=values, service_key=key) as server:
        yield server
