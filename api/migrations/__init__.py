"""Applies the plain SQL files of this folder, `NNNN_name.sql`, in order and each once.

All that is pending goes into one transaction behind an advisory lock: two nodes that start together apply it
once, and a file that fails leaves the schema as it was. What was applied is remembered with a checksum, so a
file that changed afterwards, or a schema newer than this code, is refused instead of guessed at.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

# Any constant, the same in every version.
LOCK = 7_305_521_940_001
FOLDER = Path(__file__).parent

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version int PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class SchemaRefused(Exception):
    """The database holds a schema that this code must not touch; the text says why."""


class Migration(msgspec.Struct, frozen=True):
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """The files of the folder in the order of their numbers, which have no gaps."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)", path.stem)
        if match is None:
            raise SchemaRefused(f"{path.name}: a migration is named NNNN_name.sql")
        found.append(Migration(int(match.group(1)), match.group(2), path.read_text(encoding="utf-8")))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaRefused(f"{folder}: migrations are numbered from 0001 without gaps")
    return found


async def apply(connection: Any, known: list[Migration] | None = None) -> list[Migration]:
    """Brings the schema up to date over an asyncpg connection; returns what was applied."""
    known = migrations() if known is None else known
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        await connection.execute(_TABLE)
        rows = await connection.fetch(
            "SELECT version, name, checksum FROM schema_migrations ORDER BY version"
        )
        pending = _pending(known, [(row["version"], row["name"], row["checksum"]) for row in rows])
        for migration in pending:
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    return pending


def _pending(known: list[Migration], applied: list[tuple[int, str, str]]) -> list[Migration]:
    if len(applied) > len(known):
        version, name, _ = applied[-1]
        raise SchemaRefused(
            f"the database has schema version {version} ({name}), this code knows up to {len(known)}: "
            "run the newer release, or restore the database of this one"
        )
    for migration, (version, name, checksum) in zip(known, applied, strict=False):
        if migration.checksum != checksum:
            raise SchemaRefused(
                f"migration {version:04d}_{name} differs from the one the database was made with: "
                "an applied migration never changes, add a new one"
            )
    return known[len(applied) :]
