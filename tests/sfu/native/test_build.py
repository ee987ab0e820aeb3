"""The module is never missed where it cannot be had."""

from __future__ import annotations

import socket

import pytest

from sfu import native
from sfu.engine import EngineOptions
from sfu.engines import open_engine
from sfu.native import build
from state.compiled import Unbuilt


def test_the_core_knows_nothing_of_python() -> None:
    core = build.core_sources()
    assert {"engine.c", "thread.c"} <= {path.name for path in core}
    assert all("Python.h" not in path.read_text() for path in core)


def test_without_the_module_the_worker_gets_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise Unbuilt("no")

    monkeypatch.setattr(native, "load", refuse)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        engine = open_engine("auto", sock, EngineOptions())
        assert engine.name == "python"
        engine.close()
