"""The native engine: the same packets as `sfu.python_engine`, several times as many of them.

A plain C core (see `engine.h`) with a thread of its own, bound in the limited API. It is optional in every
respect: without a compiler, without Linux, or without a cryptography library to call there is no engine, and
the worker takes the one in plain Python.
"""

from __future__ import annotations

import socket
import sys

from sfu.engine import Engine, EngineOptions
from sfu.native.build import load
from sfu.native.cryptography import load_cryptography
from sfu.native.engine import NativeEngine
from state.compiled import Unbuilt


def open_engine(sock: socket.socket, options: EngineOptions) -> Engine | None:
    """None where the module cannot be had on this machine."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        core = load()
    except Unbuilt:
        return None
    return NativeEngine(core, sock, options) if load_cryptography(core) else None
