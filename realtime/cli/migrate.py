"""`flylive migrate`: what a node does at its start, on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from realtime.cli.options import settings_parser
from realtime.failures import EXIT_DONE
from state.settings import Settings


def migrate(settings: Settings, words: Sequence[str]) -> int:
    settings_parser("migrate", "Bring the database schema up to date.").parse_args(words)
    from realtime.app import migrated

    applied = asyncio.run(migrated(settings))
    for name in applied:
        print(f"applied {name}")
    if not applied:
        print("the schema is up to date")
    return EXIT_DONE
