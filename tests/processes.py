"""Nodes as processes of their own, for tests that need more than one, or that need to kill one.

with running_node(data_directory) as node:
    requests go to node.url
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

READY_SECONDS = 60.0
STOP_SECONDS = 60.0
ANSWER_SECONDS = 20.0
POLL_SECONDS = 0.02


def flylive(*words: str | Path) -> list[str]:
    """The command line of this program, in this interpreter."""
    return [sys.executable, "-P", "-m", "realtime.cli", *map(str, words)]


def environment(**values: str) -> dict[str, str]:
    """The caller's environment without settings of its own, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLYLIVE_")}
    return kept | values


def run_flylive(*words: str | Path, **values: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        flylive(*words),
        env=environment(**values),
        check=False,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
    )


def wait_until(condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(POLL_SECONDS)


class NodeProcess:
    """One `flylive serve`. Standard output and standard error go to files beside the data directory."""

    def __init__(self, data: Path, *flags: str | Path, **values: str) -> None:
        name = f"{data.name}-{time.monotonic_ns()}"
        self.output_file = data.parent / f"{name}.out"
        self.log_file = data.parent / f"{name}.log"
        defaults = {
            "FLYLIVE_SFU_PORT": "0",
            "FLYLIVE_SFU_WORKERS": "0",
            "FLYLIVE_NODE_DRAIN_NOTICE_SECONDS": "0",
        }
        words = flylive("serve", "--port", "0", "--data-dir", data, *flags)
        with self.output_file.open("wb") as output, self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                words,
                env=environment(**defaults | values),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
            )

    @property
    def url(self) -> str:
        """Where the node says that it is ready; empty before."""
        for line in self.output.splitlines():
            if " is ready at " in line:
                return line.split(" is ready at ")[1].strip()
        return ""

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_ready(self) -> None:
        def is_ready() -> bool:
            code = self.process.poll()
            assert code is None, f"the node ended with {code}: {self.log}"
            return bool(self.url) and self.status("/readyz") == 200

        wait_until(is_ready, "ready")

    def status(self, path: str) -> int:
        """The HTTP status of a GET; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=ANSWER_SECONDS) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=ANSWER_SECONDS) as response:
            return str(response.read().decode())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signals the process and waits for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextlib.contextmanager
def running_node(data: Path, *flags: str | Path, **values: str) -> Iterator[NodeProcess]:
    """A node that is ready, and gone afterwards."""
    node = NodeProcess(data, *flags, **values)
    try:
        node.wait_ready()
        yield node
    finally:
        node.stop()


def processes_with(text: str) -> Mapping[int, str]:
    """Living processes whose command line contains the text, by their id."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in command and int(entry.name) != os.getpid():
            found[int(entry.name)] = command
    return found


def descendants(process_id: int) -> list[int]:
    """Children, their children, and so on."""
    children: list[int] = []
    for file in Path(f"/proc/{process_id}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            children += [int(word) for word in file.read_text().split()]
    return [*children, *(deeper for child in children for deeper in descendants(child))]


def is_alive(process_id: int) -> bool:
    """False for what has ended, also when nobody has asked for its exit code yet."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
