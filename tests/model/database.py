"""Keys, their values and their lifetimes. Values are bytes, or Python containers of bytes.

A failed command raises `CommandError` with the server's sentence, as far as the kernel's code looks at it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class CommandError(Exception):
    """The server answers with an error."""


class Stream:
    """Entries by id, in order; the last id stays known when its entry is gone."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, int], list[bytes]] = {}
        self.last = (0, 0)


class Database:
    """What one server process holds."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.values: dict[bytes, Any] = {}
        self.ends: dict[bytes, int] = {}

    def read(self, key: bytes, kind: type) -> Any:
        """The value, or None; another kind of value is an error."""
        end = self.ends.get(key)
        if end is not None and end <= self.now_ms():
            self.delete(key)
        value = self.values.get(key)
        if value is not None and kind is not object and type(value) is not kind:
            raise CommandError(WRONG_TYPE)
        return value

    def change(self, key: bytes, kind: type) -> Any:
        """The value to change in place, made when it is not there."""
        value = self.read(key, kind)
        if value is None:
            value = self.values[key] = kind()
        return value

    def exists(self, key: bytes) -> bool:
        return self.read(key, object) is not None

    def delete(self, key: bytes) -> bool:
        self.ends.pop(key, None)
        return self.values.pop(key, None) is not None

    def tidy(self, key: bytes) -> None:
        """A container that became empty is no key any more (a stream stays)."""
        value = self.values.get(key)
        if isinstance(value, (dict, set)) and not value:
            self.delete(key)

    def expire(self, key: bytes, end_ms: int | None) -> None:
        if end_ms is None:
            self.ends.pop(key, None)
        elif end_ms <= self.now_ms():
            self.delete(key)
        else:
            self.ends[key] = end_ms

    def snapshot(self) -> tuple[dict[bytes, Any], dict[bytes, int]]:
        """All of it as it is now, for a replica or a file that is behind."""
        return copy.deepcopy(self.values), dict(self.ends)

    def put_back(self, snapshot: tuple[dict[bytes, Any], dict[bytes, int]]) -> None:
        values, ends = snapshot
        self.values, self.ends = copy.deepcopy(values), dict(ends)
