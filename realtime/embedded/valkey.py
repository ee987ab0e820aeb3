"""The Valkey child: append-only file flushed every second, reachable over one Unix socket only.

An acknowledged write older than a second survives `kill -9`. Nothing is ever evicted: rooms are state, not a
cache.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from urllib.parse import quote

from realtime.embedded import binaries
from realtime.embedded.child import Child, Program

READY_SECONDS = 60.0


class Valkey:
    def __init__(self, data: Path, run: Path, *, durable: bool) -> None:
        self._directory = data / "valkey"
        self._socket = run / "valkey.sock"
        self._log = data / "valkey.log"
        self._durable = durable
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    def launch(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self.child = Child(
            Program(
                name="Valkey",
                arguments=self._arguments(binaries.valkey_server()),
                log=self._log,
                lock=self._socket.with_suffix(".lock"),
                stop_signal=signal.SIGTERM,
                environment={"LC_ALL": "C", "PATH": os.defpath},
            )
        )
        self.child.launch()

    def await_ready(self) -> None:
        assert self.child is not None
        self.child.await_ready(lambda _pid: _answers(self._socket), READY_SECONDS)

    def _arguments(self, server: Path) -> list[str | Path]:
        options: dict[str, str | Path] = {
            "port": "0",
            "unixsocket": self._socket,
            "unixsocketperm": "700",
            "dir": self._directory,
            "daemonize": "no",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        return [server, *(part for name, value in options.items() for part in (f"--{name}", value))]


def _answers(path: Path) -> bool:
    """True when the server answers PING; while it loads its file it says LOADING instead."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
