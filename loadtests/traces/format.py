"""A trace file: JSON lines, optionally gzipped. One header, then what passed, then one end.

    {"k":"header","format":"flylive-trace","version":1,"t0":...,"rooms":{...},"redactions":[...]}
    {"k":"connect","t":0.01,"c":"c1","u":"u1","r":"r1","role":"member","standing":false}
    {"k":"command","t":0.02,"c":"c1","i":0,"e":"chat:send","a":{"text":"..."}}
    {"k":"ack","t":0.03,"c":"c1","i":0,"b":{"ok":true,"data":{...}}}
    {"k":"event","t":0.03,"r":"r1","e":"chat:message","b":{...}}       (once per room)
    {"k":"disconnect","t":9.0,"c":"c1","why":"transport close"}
    {"k":"end","t":9.1,"rooms":{"r1":{...}},"gifts":[...],"digest":"..."}     (digest of all lines before)

Times are seconds since t0. The digest notices a trace that was cut or edited.
"""

import gzip
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import msgspec

STANDARD_OUTPUT = Path("-")
FORMAT, VERSION = "flylive-trace", 1
Fields = dict[str, Any]


class TraceUnreadable(Exception):
    """The file is not a trace, or not a whole one."""


class RoomStart(msgspec.Struct, frozen=True):
    """A room as it was when the recording met it."""

    owner: str
    settings: Fields
    snapshot: Fields


class Header(msgspec.Struct, frozen=True, tag_field="k", tag="header"):
    t0: int
    rooms: dict[str, RoomStart] = {}
    redactions: list[str] = []
    format: str = FORMAT
    version: int = VERSION


class Met(msgspec.Struct, frozen=True, tag_field="k", tag="room"):
    """A room that came into being while the recording ran."""

    t: float
    r: str
    start: RoomStart


class Connect(msgspec.Struct, frozen=True, tag_field="k", tag="connect", omit_defaults=True):
    t: float
    c: str
    u: str
    r: str
    role: str
    standing: bool = False


class Command(msgspec.Struct, frozen=True, tag_field="k", tag="command"):
    t: float
    c: str
    i: int | None
    e: str
    a: Any


class Ack(msgspec.Struct, frozen=True, tag_field="k", tag="ack"):
    t: float
    c: str
    i: int | None
    b: Any


class Event(msgspec.Struct, frozen=True, tag_field="k", tag="event", omit_defaults=True):
    t: float
    e: str
    b: Any
    r: str | None = None
    c: str | None = None


class Disconnect(msgspec.Struct, frozen=True, tag_field="k", tag="disconnect"):
    t: float
    c: str
    why: str


class End(msgspec.Struct, frozen=True, tag_field="k", tag="end"):
    t: float
    rooms: dict[str, Fields]
    gifts: list[Fields]
    digest: str


Line = Header | Met | Connect | Command | Ack | Event | Disconnect | End
_DECODER = msgspec.json.Decoder(Line)
_ENCODER = msgspec.json.Encoder()


class Trace(msgspec.Struct, frozen=True):
    header: Header
    lines: list[Line]
    end: End
    intact: bool


def _opened(path: Path, mode: str) -> IO[bytes]:
    if path == STANDARD_OUTPUT:
        return sys.stdout.buffer
    return cast(IO[bytes], gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode))


class TraceWriter:
    """Writes lines and keeps the digest. Use as a context; `finish` writes the end."""

    def __init__(self, path: Path):
        self.file = _opened(path, "wb")
        self.digest = hashlib.sha256()
        self.count = 0

    def write(self, line: Line) -> None:
        encoded = _ENCODER.encode(line) + b"\n"
        self.digest.update(encoded)
        self.file.write(encoded)
        self.count += 1

    def finish(self, t: float, rooms: dict[str, Fields], gifts: list[Fields]) -> None:
        self.write(End(t, rooms, gifts, self.digest.hexdigest()))
        self.file.close()


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with _opened(path, "rb") as file:
            yield from file
    except (OSError, EOFError) as problem:
        raise TraceUnreadable(f"{path}: {problem}") from problem


def read(path: Path) -> Trace:
    """The whole trace; `intact` says whether its digest is right."""
    digest, found = hashlib.sha256(), []
    before = digest.copy()
    for number, raw in enumerate(_lines(path), 1):
        before = digest.copy()
        digest.update(raw)
        try:
            found.append(_DECODER.decode(raw))
        except msgspec.DecodeError as problem:
            raise TraceUnreadable(f"{path} line {number}: {problem}") from problem
    if not found or not isinstance(found[0], Header) or not isinstance(found[-1], End):
        raise TraceUnreadable(f"{path}: a header at the start and an end line are expected")
    header, end = found[0], found[-1]
    if header.format != FORMAT or header.version != VERSION:
        raise TraceUnreadable(f"{path}: {header.format} version {header.version} is not known here")
    return Trace(header, found[1:-1], end, end.digest == before.hexdigest())
