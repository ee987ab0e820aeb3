"""The native engine's library: `python -m sfu.native` builds it beforehand, else the first worker does."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from state.compiled import Library, Unbuilt

HERE = Path(__file__).parent
LIBRARY = Library("audio", HERE, f"-I{sysconfig.get_paths()['include']}")


def core_sources() -> list[Path]:
    """Without those that know Python."""
    return [path for path in LIBRARY.sources() if not path.name.startswith("binding")]


def load() -> ModuleType:
    """The module, built if need be."""
    name = "sfu.native._core"
    if name in sys.modules:
        return sys.modules[name]
    path = LIBRARY.build()
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise Unbuilt(f"{path} cannot be loaded")
    try:
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        raise Unbuilt(str(error)) from error
    sys.modules[name] = module
    return module
