"""Structured logs on standard error: JSON per line, or readable text on a terminal.

No secret leaves through a log. Fields that are named like secrets are masked, and then the finished line is
swept: configured secrets by value, tokens and passwords in URLs by shape. The sweep sees everything, also
tracebacks and what libraries write.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, TextIO

import msgspec

from realtime.imports import without
from state.settings import Log

with without("better_exceptions", "rich"):  # they come with the tools of development; a node has neither
    import structlog

MASK = "***"
SECRET_FIELDS = frozenset({"authorization", "cookie", "key", "password", "secret", "service_key", "token"})
# Shorter values would mask ordinary words.
SECRET_LENGTH_MINIMUM = 8
_SHAPES = (
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+"), rf"\g<1>{MASK}"),
    (re.compile(r"(://[^\s:/@]*):[^\s/@]+@"), rf"\g<1>:{MASK}@"),
)


class Sweeper:
    """Removes secrets from a finished text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        values = sorted({value for value in secrets if len(value) >= SECRET_LENGTH_MINIMUM}, key=len)
        self._values = re.compile("|".join(map(re.escape, reversed(values)))) if values else None

    def sweep(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(MASK, text)
        for pattern, replacement in _SHAPES:
            text = pattern.sub(replacement, text)
        return text


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def __init__(self, sweeper: Sweeper, renderer: structlog.typing.Processor) -> None:
        super().__init__(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=_SHARED,
        )
        self._sweeper = sweeper

    def format(self, record: logging.LogRecord) -> str:
        return self._sweeper.sweep(super().format(record))


def configure(log: Log, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Routes structlog and the standard library's logging to one handler."""
    stream = stream or sys.stderr
    as_text = log.format == "text" or (log.format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(Sweeper(secrets), _text_renderer(stream) if as_text else _json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log.level.upper())
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(log.level.upper())),
        cache_logger_on_first_use=False,
    )


def secrets_of(tree: msgspec.Struct) -> Iterator[str]:
    """Every value of a configuration whose field is marked as secret."""
    for field in msgspec.structs.fields(tree):
        value = getattr(tree, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, msgspec.Struct):
                yield from secrets_of(item)
            elif isinstance(item, str) and is_secret(field) and item:
                yield from _secret_parts(item)


def is_secret(field: msgspec.structs.FieldInfo) -> bool:
    extra = msgspec.inspect.type_info(field.type)
    return isinstance(extra, msgspec.inspect.Metadata) and bool((extra.extra or {}).get("secret"))


def _secret_parts(text: str) -> Iterator[str]:
    """The text itself, or of a URL the password: the rest of a URL helps whoever reads the log."""
    if "://" not in text:
        yield text
    yield from re.findall(r"://[^\s:/@]*:([^\s/@]+)@", text)


def _mask_fields(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event.keys() & SECRET_FIELDS:
        event[name] = MASK
    return event


def _json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(dict(event), enc_hook=repr).decode()


def _text_renderer(stream: TextIO) -> structlog.typing.Processor:
    return structlog.dev.ConsoleRenderer(colors=stream.isatty())


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    _mask_fields,
]
