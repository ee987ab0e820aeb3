"""Static files, read once at start and kept in memory: no request touches the disk or names a path.

Every file is kept plain and compressed, with a strong ETag of its content. Pages are tiny and change with
each version, so they are revalidated; a revalidation costs one 304.
"""

import gzip
import hashlib
from pathlib import Path

import msgspec

STATIC = Path(__file__).parent / "static"
PAGES = Path(__file__).parent / "pages"
COMPRESSED_MINIMUM = 512
CONTENT_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


class Asset(msgspec.Struct, frozen=True):
    body: bytes
    compressed: bytes | None
    content_type: str
    etag: str


def asset(body: bytes, suffix: str) -> Asset:
    compressed = gzip.compress(body, 9, mtime=0) if len(body) >= COMPRESSED_MINIMUM else None
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    return Asset(body, compressed, CONTENT_TYPES[suffix], etag)


def read_assets(folder: Path = STATIC) -> dict[str, Asset]:
    """Every file below the folder by its path relative to it."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in CONTENT_TYPES]
    return {file.relative_to(folder).as_posix(): asset(file.read_bytes(), file.suffix) for file in files}


def read_page(name: str, **values: str) -> Asset:
    """A page with its placeholders filled in; no value of a request ever gets here."""
    text = (PAGES / f"{name}.html").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace("{" + key + "}", value)
    return asset(text.encode(), ".html")
