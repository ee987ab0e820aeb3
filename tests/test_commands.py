"""`./run` and `./test`: what they say when something is missing, and that a second start needs nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT

SCRIPTS = ("run", "test", ".ci/run", ".ci/lock", ".ci/environment")
# What the scripts may take for granted on any system.
TOOLS = ("sh", "basename", "cat", "cksum", "dirname", "mkdir")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts and lock files without an environment."""
    directory = tmp_path / "checkout"
    (directory / ".ci").mkdir(parents=True)
    for name in ("run", "test", ".ci/environment", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, directory / name)
    for name in ("requirements-dev.lock", "requirements-uv.lock"):
        shutil.copy(ROOT / name, directory / name)
    return directory


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A directory for PATH with the plainest tools only."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (directory / tool).symlink_to(found)
    return directory


def _start(checkout: Path, path: str, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(checkout / "run"), *arguments],
        env={"PATH": path, "HOME": str(checkout), **values},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )


def _executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_posix_shell(name: str) -> None:
    assert subprocess.run(["/bin/sh", "-n", ROOT / name], check=False).returncode == 0


@pytest.mark.parametrize("name", ["run", "test", ".ci/run"])
def test_the_scripts_are_executable(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


def test_without_python_one_line_says_what_to_install(checkout: Path, bare_path: Path) -> None:
    done = _start(checkout, str(bare_path))
    assert done.returncode == 1
    assert "no Python 3.11 to 3.14 found; install one" in done.stderr.splitlines()[-1]


def test_with_an_old_python_the_same(checkout: Path, bare_path: Path) -> None:
    _executable(bare_path / "python3", "#!/bin/sh\nexit 1\n")
    done = _start(checkout, str(bare_path))
    assert done.returncode == 1
    assert "no Python 3.11 to 3.14 found" in done.stderr


def test_without_the_venv_module_one_line_says_what_to_install(checkout: Path, bare_path: Path) -> None:
    _executable(bare_path / "python3", '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    done = _start(checkout, str(bare_path))
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr.splitlines()[-1]


def test_without_a_network_one_line_says_so(checkout: Path, bare_path: Path) -> None:
    (bare_path / "python3").symlink_to(sys.executable)
    nowhere = "http://127.0.0.1:9/simple"
    done = _start(
        checkout,
        str(bare_path),
        PIP_INDEX_URL=nowhere,
        UV_DEFAULT_INDEX=nowhere,
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
        UV_NO_CACHE="1",
    )
    assert done.returncode == 1
    assert "is there a network?" in done.stderr.splitlines()[-1]
    assert not (checkout / ".venv" / "installed-requirements").exists()


def test_an_installed_environment_is_used_as_it_is(checkout: Path, bare_path: Path) -> None:
    _executable(checkout / ".venv/bin/python", "#!/bin/sh\nexit 0\n")
    _executable(checkout / ".venv/bin/flylive", '#!/bin/sh\necho "started" "$@"\n')
    _executable(bare_path / "uv", "#!/bin/sh\nexit 0\n")
    first = _start(checkout, str(bare_path), "--port", "1")
    assert first.stdout == "started serve --port 1\n"
    assert "installing the packages" in first.stderr
    _executable(bare_path / "uv", '#!/bin/sh\necho "uv was called" >&2\nexit 1\n')
    second = _start(checkout, str(bare_path), "--port", "2")
    assert second.stdout == "started serve --port 2\n"
    assert second.stderr == ""
    with (checkout / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert "installing the packages" in _start(checkout, str(bare_path)).stderr
