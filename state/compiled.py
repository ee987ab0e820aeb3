"""Compiles C sources of ours with whatever compiler there is, and finds the result again.

The result is named by a digest of the sources, the flags and the machine, so that a stale build is never
loaded, and lies beside the sources where that is allowed, else in the user's cache. Failure is an answer, not
an error: whatever is compiled has a twin in plain Python that does the same more slowly.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pthread")
SHARED = ("-O2", "-fPIC", "-shared", "-fvisibility=hidden")
LIBRARIES = ("-ldl", "-lm")
BUILD_SECONDS = 120


class Unbuilt(Exception):
    """There is no such library, and why."""


def compiler() -> list[str]:
    """The command of the C compiler: $CC, else the usual names."""
    if named := os.environ.get("CC"):
        return shlex.split(named)
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise Unbuilt("there is no C compiler")


def is_trusted(path: Path) -> bool:
    """Ours or root's, and nobody else may write it: what is loaded here runs with our rights."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def compile_sources(sources: Sequence[Path], output: Path, *flags: str) -> None:
    """One call of the compiler. The output appears whole or not at all."""
    command = [*compiler(), *FLAGS, *flags, *map(str, sources)]
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".build-") as directory:
        made = Path(directory) / output.name
        try:
            subprocess.run(
                [*command, "-o", str(made), *LIBRARIES],
                check=True,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise Unbuilt(f"the C compiler says: {error.stderr[-2000:]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unbuilt(str(error)) from error
        made.chmod(0o755)  # whatever the user's mask allows to others: see `is_trusted`
        made.replace(output)


class Library:
    """A shared library made of the C sources of a folder."""

    def __init__(self, name: str, folder: Path, *flags: str) -> None:
        self.name, self.folder, self.flags = name, folder, flags

    def sources(self) -> list[Path]:
        return sorted(self.folder.glob("*.c"))

    def digest(self) -> str:
        """Of everything that the machine code depends on, but the compiler."""
        seen = hashlib.sha256(f"{platform.machine()} {platform.libc_ver()[0]} {FLAGS} {SHARED}".encode())
        for path in sorted(self.folder.glob("*.[ch]")):
            seen.update(path.name.encode() + path.read_bytes())
        return seen.hexdigest()[:16]

    def places(self) -> list[Path]:
        """Where it may be, the preferred place first."""
        name = f"{self.name}-{self.digest()}.so"
        found = [self.folder / ".built" / name]
        with contextlib.suppress(RuntimeError):  # a user without a home
            cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            found.append(Path(cache) / "flylive" / name)
        return found

    def build(self) -> Path:
        """Compiles it, or finds that it is there already."""
        places = self.places()
        found = next((place for place in places if is_trusted(place)), None)
        if found is not None:
            return found
        if not sys.platform.startswith("linux"):
            raise Unbuilt("this needs Linux")
        reason = "no place to put it"
        for place in places:
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                compile_sources(self.sources(), place, *SHARED, *self.flags)
            except OSError as error:
                reason = str(error)
                continue
            for stale in place.parent.glob(f"{self.name}-*.so"):
                if stale != place and place.parent.parent == self.folder:
                    stale.unlink(missing_ok=True)
            return place
        raise Unbuilt(reason)


def build_and_say(library: Library) -> int:
    """For a `python -m` that builds beforehand: says where the library is, or why there is none."""
    try:
        sys.stdout.write(f"{library.build()}\n")
    except Unbuilt as error:
        sys.stderr.write(f"{library.name} is not built, plain Python is used: {error}\n")
        return 1
    return 0
