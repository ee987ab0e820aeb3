"""`flylive config`: is it valid, what is in force and why, what can be set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from realtime import config
from realtime.cli.options import configuration, settings_parser
from realtime.failures import EXIT_DONE
from realtime.logs import MASK, Sweeper, is_secret, secrets_of
from state.settings import Settings


def check(words: Sequence[str]) -> int:
    configuration(
        settings_parser("config check", "Say whether the configuration is valid.").parse_args(words)
    )
    print("the configuration is valid")
    return EXIT_DONE


def show(words: Sequence[str]) -> int:
    parser = settings_parser("config print", "Print every setting with where it came from, secrets masked.")
    loaded = configuration(parser.parse_args(words))
    sweeper = Sweeper(secrets_of(loaded.settings))
    for name, field in config.fields().items():
        value = _value(loaded.settings, name)
        text = MASK if is_secret(field) and value else sweeper.sweep(_text(value))
        print(f"{name} = {text}  # {loaded.source(name)}")
    return EXIT_DONE


def doc(words: Sequence[str]) -> int:
    settings_parser("config doc", "Print every setting with its bounds, as Markdown.").parse_args(words)
    print(document())
    return EXIT_DONE


def document() -> str:
    lines = []
    for section in msgspec.structs.fields(Settings):
        lines += [f"## {section.name}", "", (section.type.__doc__ or "").strip(), ""]
        lines += ["| setting | variable | type | default | what it is |", "|---|---|---|---|---|"]
        for field in msgspec.structs.fields(section.type):
            lines.append(_row(f"{section.name}.{field.name}", field))
        lines.append("")
    return "\n".join(lines)


def _row(name: str, field: msgspec.structs.FieldInfo) -> str:
    schema = msgspec.json.schema(field.type)
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    kind = " or ".join(map(str, schema["enum"])) if "enum" in schema else schema.get("type", "list")
    cells = [
        f"`{name}`",
        f"`{config.variable_name(name)}`",
        ", ".join([kind, *bounds]),
        f"`{_text(field.default)}`",
        schema.get("description", ""),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


_BOUNDS = {"minimum": "at least", "maximum": "at most"}


def _value(settings: Settings, name: str) -> Any:
    section, field = name.split(".")
    return getattr(getattr(settings, section), field)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
