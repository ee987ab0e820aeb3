"""Who may know whom. The folders meet in Redis or through ports that the composition root hands in."""

from __future__ import annotations

import tomllib

from tests.tidy.sources import FOLDERS, ROOT, imported_modules, python_files

ALLOWED = {
    "state": {"state"},
    "realtime": {"realtime", "state"},
    "api": {"api", "state"},
    "sfu": {"sfu", "state"},
    "loadtests": {"loadtests", "state"},
}
COMPOSITION_ROOT = "realtime/app.py"
KERNEL_BENCHMARK = "loadtests/benchmarks/kernel.py"  # measures what the contract hides
CONTRACT = {"ids", "commands", "events", "wire", "limits", "rejections"}

PURE = {
    f"state/{name}.py"
    for name in (
        "ids",
        "limits",
        "settings",
        "rejections",
        "identity",
        "commands",
        "events",
        "room",
        "transitions",
        "wire",
    )
}
IMPURE_MODULES = {"asyncio", "time", "random", "secrets", "redis", "socket", "threading", "os", "uuid"}


def test_each_folder_imports_only_what_it_may() -> None:
    wrong = [
        f"{name}:{line} imports {module}"
        for folder in FOLDERS
        for name in python_files(folder)
        if name != COMPOSITION_ROOT
        for line, module in imported_modules(name)
        if module.split(".")[0] in {*FOLDERS, "tests"} - ALLOWED[folder]
    ]
    assert wrong == []


def test_the_wheel_has_the_folders_of_the_product() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert sorted(settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == sorted(FOLDERS)


def test_load_tests_know_the_contract_only() -> None:
    wrong = [
        f"{name}:{line} imports {module}"
        for name in python_files("loadtests")
        if name != KERNEL_BENCHMARK
        for line, module in imported_modules(name)
        if module.split(".")[0] == "state" and module.split(".")[1] not in CONTRACT
    ]
    assert wrong == []


def _is_pure(name: str) -> bool:
    return name in PURE or name.startswith("state/transitions/")


def test_the_kernel_is_pure() -> None:
    wrong = [
        f"{name}:{line} imports {module}"
        for name in python_files("state")
        if _is_pure(name)
        for line, module in imported_modules(name)
        if module.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []
