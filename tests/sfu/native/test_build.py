"""The module is built where it can be, and is never missed where it cannot."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sfu import native
from sfu.engine import EngineOptions
from sfu.engines import open_engine
from sfu.native import build


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing was built yet."""
    monkeypatch.setattr(build, "places", lambda: [tmp_path / "module.so"])
    return tmp_path


def test_without_a_compiler_there_is_a_reason(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(elsewhere))
    with pytest.raises(build.Unbuilt, match="no C compiler"):
        build.build()


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "cc -DPyMODINIT_FUNC=nonsense")
    with pytest.raises(build.Unbuilt, match="nonsense"):
        build.build()
    assert list(elsewhere.iterdir()) == []


def test_a_place_that_cannot_be_written_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    wanted = tmp_path / "cache" / "module.so"
    monkeypatch.setattr(build, "places", lambda: [blocked / "module.so", wanted])
    assert build.build() == wanted
    assert build.build() == wanted


def test_a_module_that_others_may_write_is_not_loaded(elsewhere: Path) -> None:
    module = elsewhere / "module.so"
    module.write_bytes(b"not ours")
    module.chmod(0o666)
    assert build.build() == module
    assert module.read_bytes().startswith(b"\x7fELF")
    assert build.is_trusted(module)


def test_a_change_of_the_sources_changes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in build.HERE.glob("*.[ch]"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = build.digest()
    monkeypatch.setattr(build, "HERE", tmp_path)
    assert build.digest() == before
    (tmp_path / "rtp.c").write_bytes(b"/* another */")
    assert build.digest() != before


def test_every_source_is_named() -> None:
    named = {*build.CORE_SOURCES, *build.BINDING_SOURCES}
    assert named == {path.name for path in build.HERE.glob("*.c")}


def test_without_the_module_the_worker_gets_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise build.Unbuilt("no")

    monkeypatch.setattr(native, "load", refuse)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        engine = open_engine("auto", sock, EngineOptions())
        assert engine.name == "python"
        engine.close()
