"""Options that every command with a configuration has."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from realtime import config
from realtime.config import CONFIG_VARIABLE, Configuration
from realtime.failures import BadConfiguration
from state.settings import Settings

_FLAGS = {
    "--host": ("node.host", "address to listen on"),
    "--port": ("node.port", "TCP port; 0 takes a free one"),
    "--data-dir": ("node.data_dir", "directory of the embedded servers"),
}


def settings_parser(command: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"flylive {command}", description=description, allow_abbrev=False)
    add_settings(parser)
    return parser


def add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help=f"TOML file (or {CONFIG_VARIABLE})")
    for flag, (_, text) in _FLAGS.items():
        parser.add_argument(flag, help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.FIELD=VALUE",
        help="any setting, see flylive config doc",
    )


def configuration(options: argparse.Namespace) -> Configuration:
    """File, environment and flags, in that precedence."""
    flags: dict[str, tuple[str, str]] = {}
    for assignment in options.set:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise BadConfiguration(f"flag --set {assignment}: has to be SECTION.FIELD=VALUE")
        flags[f"--set {name}"] = (name, value)
    for flag, (name, _) in _FLAGS.items():
        value = getattr(options, flag.strip("-").replace("-", "_"))
        if value is not None:
            flags[flag] = (name, value)
    file = options.config or os.environ.get(CONFIG_VARIABLE)
    return config.load(Path(file) if file else None, os.environ, flags)


def split_settings(words: Sequence[str]) -> tuple[Settings, list[str]]:
    """The configuration, and the words that are not about it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_settings(parser)
    options, rest = parser.parse_known_args(words)
    return configuration(options).settings, rest
