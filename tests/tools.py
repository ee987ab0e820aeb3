"""Foreign tools that tests drive: Node with the pinned packages, and Chromium.

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
NODE_PROJECT = ROOT / "tests" / "node"
INSTALL_SECONDS = 600


class ToolMissing(AssertionError):
    """A tool could not be installed; the text says why."""


@functools.cache
def node() -> Path:
    """The Node.js executable."""
    return _on_path("node") or _fail(
        "node is not on PATH: install Node.js >= 20 (apt-get install nodejs npm)"
    )


@functools.cache
def node_modules() -> Path:
    """The installed packages of tests/node; scripts find them through NODE_PATH (see `node_environment`)."""
    lock = (NODE_PROJECT / "package-lock.json").read_bytes()
    target = CACHE / f"node-{hashlib.sha256(lock).hexdigest()[:12]}"
    with _one_at_a_time("node"):
        if not (target / "complete").exists():
            npm = _on_path("npm") or _fail("npm is not on PATH (apt-get install npm)")
            target.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json"):
                shutil.copy(NODE_PROJECT / name, target / name)
            _install([str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], target)
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
    with _one_at_a_time("chromium"):
        if not _on_path("chromium"):
            if os.geteuid() != 0:
                _fail("chromium is missing and only root may install it: apt-get install chromium")
            _install(["apt-get", "update", "-q"], ROOT)
            _install(["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"], ROOT)
    return _on_path("chromium") or _fail("chromium was installed and is not on PATH")


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def _fail(reason: str) -> Path:
    raise ToolMissing(reason)


def _install(command: list[str], directory: Path) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command,
        check=False,
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    if done.returncode != 0:
        _fail(f"{' '.join(command)} failed: {done.stderr.strip()[-600:]}")


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Parallel workers wait for the one that installs."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
