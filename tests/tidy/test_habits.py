"""Small habits that hide large faults, and words that have no place in the project."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.tidy.sources import FOLDERS, ROOT, python_files, tracked_files, tree

# Where people read: the command line, load test reports.
MAY_PRINT = ("realtime/cli/", "loadtests/")
LOCK_FILES = ("requirements.lock", "requirements-dev.lock", "nodejs.lock", "package-lock.json")


def _swallows(handler: ast.ExceptHandler) -> bool:
    """`except:`, or `except BaseException/Exception: pass`."""
    if handler.type is None:
        return True
    broad = isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    return broad and all(isinstance(statement, ast.Pass) for statement in handler.body)


def test_no_failure_is_swallowed() -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for name in python_files(*FOLDERS, "tests")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.ExceptHandler) and _swallows(node)
    ]
    assert wrong == []


def test_only_the_command_line_prints() -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for name in python_files(*FOLDERS)
        if not name.startswith(MAY_PRINT)
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


def test_every_file_says_what_it_is() -> None:
    wrong = [name for name in python_files(*FOLDERS, "tests") if not _explained(name)]
    assert wrong == []


def _explained(name: str) -> bool:
    module = tree(name)
    return not module.body or ast.get_docstring(module) is not None


def test_lock_files_name_no_host() -> None:
    wrong = [
        f"{name}:{number}"
        for name in tracked_files()
        if name.endswith(LOCK_FILES)
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if re.search(r'--(extra-)?index-url|"resolved": "https?:', line)
    ]
    assert wrong == []


SECRETS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}")


def _texts() -> Iterator[tuple[str, str]]:
    for name in tracked_files():
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("pattern", [SECRETS], ids=["secrets"])
def test_no_file_contains(pattern: re.Pattern[str]) -> None:
    wrong = [name for name, text in _texts() if pattern.search(text) and name != "tests/tidy/test_habits.py"]
    assert wrong == []
