"""Which engine carries a socket's packets: the native one where it was built, else plain Python."""

from __future__ import annotations

import importlib
import socket

from sfu.engine import Engine, EngineOptions
from sfu.python_engine import PythonEngine


class EngineMissing(Exception):
    """The native engine was asked for by name and is not there."""


def native_engine(sock: socket.socket, options: EngineOptions) -> Engine | None:
    """None where the module was not built, or finds no cryptography to call."""
    try:
        module = importlib.import_module("sfu.native")
    except ImportError:
        return None
    engine: Engine | None = module.open_engine(sock, options)
    return engine


def open_engine(kind: str, sock: socket.socket, options: EngineOptions) -> Engine:
    """`auto`, `python` or `native`."""
    if kind != "python" and (engine := native_engine(sock, options)) is not None:
        return engine
    if kind == "native":
        raise EngineMissing("the native engine was not built on this machine")
    return PythonEngine(sock, options)
