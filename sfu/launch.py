"""What a node hands to the process of a media worker, and the word that comes back."""

from __future__ import annotations

import os
import secrets

import msgspec

from state.settings import Settings

READY_LINE = b"ready\n"


class Launch(msgspec.Struct, frozen=True):
    """What a node tells its worker."""

    settings: Settings
    worker: str
    node: str
    number: int
    """Of this worker among those of its node."""
    parent: int | None
    host: str
    """Where the node serves."""


def worker_name(node: str, number: int) -> str:
    """New at every start: what was known of the last one is over."""
    return f"{node}-media{number}-{secrets.token_hex(3)}"


def worker_count(settings: Settings) -> int:
    return settings.sfu.workers if settings.sfu.workers >= 0 else max(1, os.cpu_count() or 1)
