"""Where the ciphers come from: libraries that this process has anyway, never our own code."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

_MAPS = Path("/proc/self/maps")


def candidates() -> Iterator[str | None]:
    """Most trusted first: what the interpreter itself uses, then pylibsrtp's, then the system's."""
    try:
        importlib.import_module("_ssl")
        for line in _MAPS.read_text().splitlines():
            path = line.split(maxsplit=5)[-1]
            if "/libcrypto" in path and ".so" in path:
                yield path
                break
    except (ImportError, OSError):
        pass
    with contextlib.suppress(ImportError):
        yield importlib.import_module("pylibsrtp._binding").__file__
    yield None  # an interpreter with OpenSSL linked in has the names itself
    yield from ("libcrypto.so.3", "libcrypto.so.1.1")


def load_cryptography(core: ModuleType) -> str | None:
    """The library that is called from now on, or None."""
    for path in candidates():
        try:
            core.load_library(path)
        except OSError:
            continue
        return path or "the interpreter"
    return None
