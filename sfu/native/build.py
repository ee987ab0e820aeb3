"""Builds the native engine with whatever C compiler there is, and finds it again.

`python -m sfu.native` does it beforehand; else the first worker does. The result is named by a digest of
the sources, the interpreter's ABI and the machine, so that a stale build is never loaded, and lies beside
the sources where that is allowed, else in the user's cache. Failure is an answer, not an error: the engine
in plain Python needs none of this.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
CORE_SOURCES = (
    "address.c",
    "continuity.c",
    "egress.c",
    "engine.c",
    "ingress.c",
    "library.c",
    "members.c",
    "receive.c",
    "reports.c",
    "rtp.c",
    "srtp.c",
    "table.c",
    "thread.c",
    "wanted.c",
)
BINDING_SOURCES = ("binding.c", "binding_figures.c", "binding_members.c")
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pthread")
LIBRARIES = ("-ldl", "-lm")
BUILD_SECONDS = 120


class Unbuilt(Exception):
    """There is no native module, and why."""


def compiler() -> list[str]:
    """The command of the C compiler: $CC, else the usual names."""
    if named := os.environ.get("CC"):
        return shlex.split(named)
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise Unbuilt("there is no C compiler")


def digest() -> str:
    """Of everything that the module's machine code depends on, but the compiler."""
    seen = hashlib.sha256(f"{platform.machine()} {platform.libc_ver()[0]} {FLAGS}".encode())
    for path in sorted(HERE.glob("*.[ch]")):
        seen.update(path.name.encode() + path.read_bytes())
    return seen.hexdigest()[:16]


def places() -> list[Path]:
    """Where the module may be, the preferred place first."""
    name = f"core-{digest()}.so"
    found = [HERE / ".built" / name]
    with contextlib.suppress(RuntimeError):  # a user without a home
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        found.append(Path(cache) / "flylive" / name)
    return found


def is_trusted(path: Path) -> bool:
    """Ours or root's, and nobody else may write it: what is loaded here runs with our rights."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def compile_sources(sources: Sequence[str | Path], output: Path, *flags: str) -> None:
    """One call of the compiler, for sources beside this file or elsewhere. The output appears whole or not
    at all."""
    command = [*compiler(), *FLAGS, *flags, *(str(HERE / name) for name in sources)]
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


def build() -> Path:
    """Compiles the module, or finds that it is there already."""
    found = next((place for place in places() if is_trusted(place)), None)
    if found is not None:
        return found
    if not sys.platform.startswith("linux"):
        raise Unbuilt("the native engine needs Linux")
    reason = "no place to put it"
    for place in places():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            include = f"-I{sysconfig.get_paths()['include']}"
            compile_sources(
                CORE_SOURCES + BINDING_SOURCES,
                place,
                "-O2",
                "-fPIC",
                "-shared",
                "-fvisibility=hidden",
                include,
            )
        except OSError as error:
            reason = str(error)
            continue
        for stale in place.parent.glob("core-*.so"):
            if stale != place and place.parent.parent == HERE:
                stale.unlink(missing_ok=True)
        return place
    raise Unbuilt(reason)


def load() -> ModuleType:
    """The module, built if need be."""
    name = "sfu.native._core"
    if name in sys.modules:
        return sys.modules[name]
    path = build()
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise Unbuilt(f"{path} cannot be loaded")
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        raise Unbuilt(str(error)) from error
    sys.modules[name] = module
    return module
