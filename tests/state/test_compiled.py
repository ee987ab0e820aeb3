"""A library is built where it can be, and is never missed where it cannot."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from state import compiled
from state.compiled import Library, Unbuilt, build_and_say


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Of one function, not built yet."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "answer.h").write_text("int answer(void);\n")
    (folder / "answer.c").write_text(
        '#include "answer.h"\n__attribute__((visibility("default"))) int answer(void) { return 42; }\n'
    )
    return Library("answer", folder)


def test_it_is_built_once_and_works(library: Library) -> None:
    path = library.build()
    assert path.parent == library.folder / ".built"
    assert ctypes.CDLL(str(path)).answer() == 42
    made = path.stat().st_mtime_ns
    assert library.build() == path
    assert path.stat().st_mtime_ns == made


def test_without_a_compiler_there_is_a_reason(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(Unbuilt, match="no C compiler"):
        library.build()
    assert build_and_say(library) == 1
    assert "answer is not built" in capsys.readouterr().err


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "cc -Danswer=3nonsense")
    with pytest.raises(Unbuilt, match="nonsense"):
        library.build()
    assert list((library.folder / ".built").iterdir()) == []


def test_a_place_that_cannot_be_written_is_passed_over(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (library.folder / ".built").write_bytes(b"")  # no directory
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = library.build()
    assert path.parent == tmp_path / "cache" / "flylive"
    assert library.build() == path


def test_a_library_that_others_may_write_is_not_loaded(library: Library) -> None:
    path = library.places()[0]
    path.parent.mkdir()
    path.write_bytes(b"not ours")
    path.chmod(0o666)
    assert library.build() == path
    assert path.read_bytes().startswith(b"\x7fELF")
    assert compiled.is_trusted(path)


@pytest.mark.parametrize("name", ["answer.c", "answer.h"])
def test_a_change_of_the_sources_changes_the_name_and_removes_what_is_stale(
    library: Library, name: str
) -> None:
    before = library.build()
    with (library.folder / name).open("a") as source:
        source.write("/* another */\n")
    after = library.build()
    assert after != before
    assert list(after.parent.iterdir()) == [after]
