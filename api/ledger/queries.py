"""The named queries: one `.sql` file each, whose head says what it does and what its arguments are."""

from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent


@cache
def query(name: str) -> str:
    """The text of `api/ledger/<name>.sql`."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def names() -> list[str]:
    """Every query there is."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))
