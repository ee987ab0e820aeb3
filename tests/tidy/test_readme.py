"""What the README tells people to type exists."""

from __future__ import annotations

import re
import tomllib

import pytest

from realtime import config
from realtime.cli import COMMANDS
from tests.tidy.sources import FOLDERS, ROOT

README = (ROOT / "README.md").read_text()
INDENTED = re.findall(r"^    (\S.*)$", README, re.MULTILINE)
FENCED = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


def _flylive_lines() -> list[str]:
    return [line.split("flylive ", 1)[1] for line in INDENTED + FENCED if ".venv/bin/flylive " in line]


def test_every_flylive_command_exists() -> None:
    lines = _flylive_lines()
    assert len(lines) > 5
    for line in lines:
        words = line.split()
        assert " ".join(words[:2]) in COMMANDS or words[0] in COMMANDS, line


def test_every_script_exists() -> None:
    for name in re.findall(r"^    (\./\w+|\.ci/\w+)", README, re.MULTILINE):
        assert (ROOT / name).exists(), name


def test_every_variable_and_setting_exists() -> None:
    known = {config.variable_name(name) for name in config.fields()} | {config.CONFIG_VARIABLE}
    assert set(re.findall(r"FLYLIVE_[A-Z_]+[A-Z]", README)) - known == set()
    assert set(re.findall(r"--set (\w+\.\w+)", README)) - {"section.field"} <= set(config.fields())


def test_the_example_configuration_is_valid(tmp_path_factory: pytest.TempPathFactory) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert tomllib.loads(text)
    file = tmp_path_factory.mktemp("readme") / "flylive.toml"
    file.write_text(text)
    assert config.load(file).settings.node.public_url == "https://live.example.org"


def test_the_layout_names_every_folder() -> None:
    table = README.split("## Layout")[1]
    for folder in (*FOLDERS, "tests", "docker"):
        assert f"`{folder}/`" in table
