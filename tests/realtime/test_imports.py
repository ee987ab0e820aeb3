"""A library finds only what it may, and a node starts without what nobody uses."""

import importlib
import subprocess
import sys

import pytest

from realtime.imports import without

UNUSED = {"redis", "valkey", "requests", "websocket", "rich"}


def test_within_a_hidden_package_is_as_if_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with without("wave"), pytest.raises(ImportError):
        importlib.import_module("wave")
    assert importlib.import_module("wave")


def test_what_was_imported_before_stays() -> None:
    with without("json"):
        assert importlib.import_module("json") is sys.modules["json"]


def test_what_was_hidden_is_found_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with pytest.raises(RuntimeError), without("wave"):
        raise RuntimeError
    assert importlib.import_module("wave")


def test_a_node_imports_nothing_that_nobody_uses() -> None:
    code = f"import sys, realtime.logs, realtime.app; print(*(sys.modules.keys() & {UNUSED!r}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
