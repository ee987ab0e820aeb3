"""Where settings come from: a TOML file, then `FLYLIVE_*` variables, then flags; the later one wins.

Every value remembers its source, so that a refusal can name it and `flylive config print` can show it. The
tree itself, with bounds and descriptions, is `state/settings.py`.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from realtime.failures import BadConfiguration
from state.settings import Settings

PREFIX = "FLYLIVE_"
# Variables of the command line itself rather than settings.
CONFIG_VARIABLE = "FLYLIVE_CONFIG"
SHORT_NAMES = {
    "FLYLIVE_SERVICE_KEY": "auth.service_key",
    "FLYLIVE_DATA_DIR": "node.data_dir",
    "FLYLIVE_HOST": "node.host",
    "FLYLIVE_PORT": "node.port",
}
DEFAULT = "default"
# Addresses that mean every interface, and how this machine reaches itself then.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Assignment(msgspec.Struct, frozen=True):
    """One value for one setting; a text still has to be read as the type of its field."""

    name: str
    value: Any
    source: str
    is_text: bool = False


class Configuration(msgspec.Struct, frozen=True):
    settings: Settings
    sources: Mapping[str, str]

    def source(self, name: str) -> str:
        return self.sources.get(name, DEFAULT)


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, tuple[str, str]] | None = None,
) -> Configuration:
    """`flags` maps a flag as it was written to a setting and its text.

    Raises `BadConfiguration` with the setting and its source.
    """
    known = fields()
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for assignment in _assignments(file, environment or {}, flags or {}):
        name = assignment.name
        if name not in known:
            raise BadConfiguration(f"{assignment.source}: unknown setting {name}{_suggestion(name, known)}")
        values[name] = _convert(assignment, known[name])
        sources[name] = assignment.source
    settings = _tree(values)
    _refuse_contradictions(settings)
    return Configuration(settings, sources)


def fields() -> dict[str, msgspec.structs.FieldInfo]:
    """Every setting by its full name, `section.field`."""
    return {
        f"{section.name}.{field.name}": field
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    }


def variable_name(name: str) -> str:
    """The environment variable of a setting; the short one where there is one."""
    for short, target in SHORT_NAMES.items():
        if target == name:
            return short
    return PREFIX + name.replace(".", "_").upper()


def is_loopback(host: str) -> bool:
    """True when only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def data_directory(settings: Settings) -> Path:
    if settings.node.data_dir:
        return Path(settings.node.data_dir).expanduser()
    return Path("/var/lib/flylive") if os.geteuid() == 0 else Path(".data")


def _assignments(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, tuple[str, str]]
) -> Iterator[Assignment]:
    if file is not None:
        yield from _from_file(file)
    yield from _from_environment(environment)
    for flag, (name, text) in flags.items():
        yield Assignment(name, text, f"flag {flag}", is_text=True)


def _from_file(file: Path) -> Iterator[Assignment]:
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{file}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{file}: not valid TOML: {error}") from None
    for section, content in tree.items():
        if not isinstance(content, dict):
            raise BadConfiguration(f"file {file}: {section} has to be a section, [{section}]")
        for field, value in content.items():
            yield Assignment(f"{section}.{field}", value, f"file {file}")


def _from_environment(environment: Mapping[str, str]) -> Iterator[Assignment]:
    names = {variable_name(name): name for name in fields()} | SHORT_NAMES
    names |= {PREFIX + name.replace(".", "_").upper(): name for name in fields()}
    for variable, text in environment.items():
        if variable.startswith(PREFIX) and variable != CONFIG_VARIABLE:
            if variable not in names:
                hint = _suggestion(variable, names)
                raise BadConfiguration(f"environment: unknown variable {variable}{hint}")
            yield Assignment(names[variable], text, f"environment {variable}", is_text=True)


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _convert(assignment: Assignment, field: msgspec.structs.FieldInfo) -> Any:
    value = assignment.value
    if assignment.is_text and _is_list(field):
        value = _list_of_text(assignment)
    try:
        return msgspec.convert(value, type=field.type, strict=not assignment.is_text)
    except msgspec.ValidationError as error:
        raise BadConfiguration(f"{assignment.source}: {assignment.name}: {error}") from None


def _is_list(field: msgspec.structs.FieldInfo) -> bool:
    return isinstance(field.default, tuple)


def _list_of_text(assignment: Assignment) -> list[Any]:
    """A list in a variable or flag: JSON, or words with commas between."""
    text = assignment.value.strip()
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        parts: list[Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadConfiguration(f"{assignment.source}: {assignment.name}: not valid JSON: {error}") from None
    return parts


def _tree(values: Mapping[str, Any]) -> Settings:
    sections = {}
    for section in msgspec.structs.fields(Settings):
        prefix = f"{section.name}."
        chosen = {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}
        sections[section.name] = section.type(**chosen)
    return Settings(**sections)


def _refuse_contradictions(settings: Settings) -> None:
    auth = settings.auth
    if auth.token_lifetime_seconds > auth.token_lifetime_maximum_seconds:
        raise BadConfiguration(
            "auth.token_lifetime_seconds is larger than auth.token_lifetime_maximum_seconds"
        )
    kids = [key.kid for key in auth.token_keys]
    if len(set(kids)) != len(kids):
        raise BadConfiguration("auth.token_keys: two keys have the same kid")
