"""The command table: every entry exists, help is quick, mistakes are named."""

from __future__ import annotations

import importlib
import re
import resource
import subprocess
import sys

import pytest

from realtime.cli import COMMANDS, main
from tests.processes import flylive, run_flylive

HELP_SECONDS = 0.4


def test_help_is_quick() -> None:
    """In processor time: how long that takes on the clock depends on what else the machine does."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(flylive("--help"), check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < HELP_SECONDS


def test_help_imports_no_server_code() -> None:
    code = (
        "import sys; from realtime.cli import main; main(['--help']);"
        "print([m for m in ('aiohttp', 'asyncpg', 'redis', 'uvloop', 'msgspec') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists(name: str) -> None:
    module, function = COMMANDS[name].entry.split(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = run_flylive(*name.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


@pytest.mark.parametrize("words", [[], ["sevre"], ["token"], ["serve", "--prot", "1"], ["config", "nothing"]])
def test_wrong_use_is_exit_code_2(words: list[str]) -> None:
    assert run_flylive(*words).returncode == 2


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)
