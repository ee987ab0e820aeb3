"""The Postgres child: a cluster of its own under the data directory, reachable over one Unix socket only.

Postgres refuses to run as root. For root the cluster belongs to an account that exists already (`postgres`,
else `nobody`); when that account cannot reach the binaries (a virtual environment below a closed home), a
copy of them is made inside the data directory. Modes and owners outside the data directory stay as they are.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from urllib.parse import quote

from realtime.embedded import binaries
from realtime.embedded.child import Account, Child, Program, account_arguments, die_with_parent, log_tail
from realtime.failures import CannotStart

READY_SECONDS = 60.0
INITDB_SECONDS = 120.0
OWNER = "flylive"
DATABASE = "flylive"
# Group commits, the outbox relay and the API share one pool per node; two nodes may share one cluster.
MAX_CONNECTIONS = 100
_UNUSED_PARTS = shutil.ignore_patterns("include", "*.a", "ecpg", "pgxs")


class Postgres:
    def __init__(self, data: Path, run: Path, *, durable: bool) -> None:
        self._data = data
        self._cluster = data / "postgres"
        self._socket_directory = run / "postgres"
        self._log = data / "postgres.log"
        self._durable = durable
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{OWNER}@/{DATABASE}?host={quote(str(self._socket_directory), safe='')}"

    def launch(self) -> None:
        home = binaries.postgres_home()
        account = _service_account() if os.geteuid() == 0 else None
        if account is not None:
            _refuse_unreachable(self._data, account)
            home = _reachable_home(home, self._data, account)
        self._own_directory(self._socket_directory, account)
        if not self._cluster.exists():
            self._create_cluster(home, account)
        self._refuse_other_version(home)
        self.child = Child(
            Program(
                name="Postgres",
                arguments=self._arguments(home),
                log=self._log,
                lock=self._socket_directory.with_suffix(".lock"),
                stop_signal=signal.SIGINT,
                environment=self._environment(),
                account=account,
            )
        )
        self.child.launch()

    def await_ready(self) -> None:
        assert self.child is not None
        self.child.await_ready(self._is_ready, READY_SECONDS)

    def _arguments(self, home: Path) -> list[str | Path]:
        settings = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_permissions": "0700",
            "max_connections": str(MAX_CONNECTIONS),
            "shared_buffers": "64MB",
            "logging_collector": "off",
        }
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [home / "bin" / "postgres", "-D", self._cluster, "-k", self._socket_directory, *options]

    def _is_ready(self, pid: int) -> bool:
        """The server keeps its own state in `postmaster.pid`: line 1 the process, line 8 how far it is."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _create_cluster(self, home: Path, account: Account | None) -> None:
        """Builds the cluster beside its place and renames it: a killed attempt is never taken for whole."""
        draft = self._data / "postgres.new"
        if draft.exists():
            shutil.rmtree(draft)
        self._own_directory(draft, account)
        initdb: list[str | Path] = [home / "bin" / "initdb", "-D", draft, "-U", OWNER]
        initdb += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        self._run(initdb if self._durable else [*initdb, "--no-sync"], account)
        self._run(
            [home / "bin" / "postgres", "--single", "-D", draft, "postgres"],
            account,
            f"CREATE DATABASE {DATABASE}\n",
        )
        draft.rename(self._cluster)

    def _run(self, arguments: list[str | Path], account: Account | None, text: str = "") -> None:
        with self._log.open("ab") as log:
            done = subprocess.run(
                [str(argument) for argument in arguments],
                check=False,
                cwd="/",
                env=self._environment(),
                input=text.encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=INITDB_SECONDS,
                preexec_fn=die_with_parent(signal.SIGTERM),
                **account_arguments(account),
            )
        if done.returncode != 0:
            raise CannotStart(f"Postgres could not create its files: {log_tail(self._log)}")

    def _environment(self) -> dict[str, str]:
        """Without the PG* variables of the caller, which would reach into another server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return kept | {"LC_ALL": "C", "HOME": str(self._data)}

    def _refuse_other_version(self, home: Path) -> None:
        written = (self._cluster / "PG_VERSION").read_text().strip()
        installed = str(binaries.postgres_major(home / "bin" / "postgres"))
        if written != installed:
            raise CannotStart(
                f"{self._cluster} was written by Postgres {written}, installed is {installed}: "
                f"install Postgres {written}, or move the data with pg_dump"
            )

    @staticmethod
    def _own_directory(path: Path, account: Account | None) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(path, account.user_id, account.group_id)


def _service_account() -> Account:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise CannotStart(
        "Postgres does not run as root and there is no account postgres or nobody: "
        "run as a normal user, or set FLYLIVE_DATABASE_URL"
    )


def _may_enter(path: Path, account: Account) -> bool:
    """True when the account may pass every directory down to the path."""
    path = path.resolve()
    for step in (path, *path.parents):
        status = step.stat()
        if status.st_uid == account.user_id:
            needed = stat.S_IXUSR
        elif status.st_gid == account.group_id:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True


def _refuse_unreachable(data: Path, account: Account) -> None:
    if not _may_enter(data, account):
        raise CannotStart(
            f"running as root, and account {account.name} (which Postgres needs) cannot enter {data}: "
            "give a --data-dir it can reach, such as /var/lib/flylive, or run as a normal user"
        )


def _reachable_home(home: Path, data: Path, account: Account) -> Path:
    """The installation itself, or a copy of it that the account can reach."""
    if _may_enter(home / "bin" / "postgres", account):
        return home
    # The binaries look for their libraries three levels up, so the copy keeps the wheel's layout.
    libraries = home.parent.parent / f"{home.parent.name}.libs"
    copy = data / "postgres-binaries"
    copied_home = copy / home.parent.name / home.name
    marker = copy / "copied-from"
    origin = f"{home} {(home / 'bin' / 'postgres').stat().st_mtime_ns}"
    if not (marker.exists() and marker.read_text() == origin):
        if copy.exists():
            shutil.rmtree(copy)
        copy.mkdir(mode=0o755)
        shutil.copytree(home, copied_home, ignore=_UNUSED_PARTS, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        marker.write_text(origin)
    return copied_home
