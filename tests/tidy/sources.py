"""The tracked source files and their syntax trees, read once."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("state", "realtime", "api", "sfu", "loadtests")


@functools.cache
def tracked_files() -> tuple[str, ...]:
    """What git tracks or would track, relative to the root; without git, what lies in the source folders."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if listing.returncode == 0:
        names = listing.stdout.splitlines()
    else:
        folders = (*FOLDERS, "tests", "docker")
        names = [str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.*")]
    return tuple(name for name in names if (ROOT / name).is_file())


def python_files(*folders: str) -> list[str]:
    return [name for name in tracked_files() if name.endswith(".py") and name.split("/")[0] in folders]


@functools.cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


def imported_modules(name: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every import; `from a import b` yields `a.b`."""
    package = name.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"
