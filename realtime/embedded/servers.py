"""Both servers over one data directory.

DATA/.lock            held while a server uses the directory; a second one is refused
DATA/urls.json        where the servers answer while they run, so that another node can share them
DATA/valkey, postgres the data; *.log what the servers say
DATA/run              sockets (below the temporary directory when the path is too long for a socket)
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from realtime.embedded.child import Child
from realtime.embedded.postgres import Postgres
from realtime.embedded.valkey import Valkey
from realtime.failures import CannotStart

# A socket's path has at most 107 characters on Linux and 103 on macOS; the longest name below `run` has 25.
RUN_PATH_LENGTH = 75


class Urls(msgspec.Struct, frozen=True):
    redis_url: str | None = None
    database_url: str | None = None


class EmbeddedServers:
    """Starts what is asked for and stops it; to be used from the main thread."""

    def __init__(
        self, data: Path, *, redis: bool = True, database: bool = True, durable: bool = True
    ) -> None:
        self._data = data.absolute()
        self._wanted = (redis, database)
        self._durable = durable
        self._lock: int | None = None
        self._valkey: Valkey | None = None
        self._postgres: Postgres | None = None

    def start(self, meanwhile: Callable[[], None] = lambda: None) -> Urls:
        """Launches the servers, does what can be done `meanwhile`, and waits until they answer."""
        try:
            self._take_directory()
            self._launch(self._run_directory())
            meanwhile()
            for server in self._servers():
                server.await_ready()
            self._write_urls()
        except OSError as error:
            self.stop()
            raise CannotStart(f"{error.filename or self._data}: {error.strerror or error}") from error
        except BaseException:
            self.stop()
            raise
        return self.urls

    def _launch(self, run: Path) -> None:
        redis, database = self._wanted
        if redis:
            self._valkey = Valkey(self._data, run, durable=self._durable)
            self._valkey.launch()
        if database:
            self._postgres = Postgres(self._data, run, durable=self._durable)
            self._postgres.launch()

    @property
    def urls(self) -> Urls:
        return Urls(
            self._valkey.url if self._valkey else None,
            self._postgres.url if self._postgres else None,
        )

    def stopped(self) -> list[str]:
        """Names of the servers that should run and do not."""
        return [child.program.name for child in self._children() if not child.is_running]

    def relaunch(self, name: str) -> None:
        """Launches a server again that has died, without waiting until it is ready."""
        for child in self._children():
            if child.program.name == name:
                child.launch()

    def stop(self) -> None:
        if self._lock is None:
            return
        (self._data / "urls.json").unlink(missing_ok=True)
        children = self._children()
        for child in children:
            child.ask_to_stop()
        for child in children:
            child.wait()
        os.close(self._lock)
        self._lock = None

    @staticmethod
    def running(data: Path) -> Urls | None:
        """Where the servers of another process over this directory answer, while it runs."""
        try:
            with (data / ".lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return msgspec.json.decode((data / "urls.json").read_bytes(), type=Urls)
        except FileNotFoundError:
            return None
        return None

    def __enter__(self) -> Urls:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _servers(self) -> list[Postgres | Valkey]:
        return [server for server in (self._postgres, self._valkey) if server is not None]

    def _children(self) -> list[Child]:
        return [server.child for server in self._servers() if server.child is not None]

    def _take_directory(self) -> None:
        if not self._data.exists():
            self._data.mkdir(parents=True)
            # Another account has to pass when root runs Postgres; every part inside is closed on its own.
            self._data.chmod(0o711)
        lock = os.open(self._data / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise CannotStart(
                f"{self._data} is in use by another server: stop that one, give another --data-dir, "
                f"or share its servers by the URLs in {self._data / 'urls.json'}"
            ) from None
        self._lock = lock

    def _run_directory(self) -> Path:
        run = self._data / "run"
        if len(str(run)) > RUN_PATH_LENGTH:
            digest = hashlib.sha256(str(self._data).encode()).hexdigest()[:12]
            run = Path(tempfile.gettempdir()) / f"flylive-{digest}"
        run.mkdir(mode=0o711, exist_ok=True)
        if run.stat().st_uid != os.geteuid():
            raise CannotStart(f"{run} belongs to another user: remove it, or give a shorter --data-dir")
        run.chmod(0o711)
        return run

    def _write_urls(self) -> None:
        path = self._data / "urls.json"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(self.urls))
