"""Typed identifiers.

An identifier is a short URL-safe string, whoever made it: backends name rooms and users, clients name
their commands, nodes name their connections. One pattern holds for all of them, so that an id can stand
in a Redis key, a URL and a log line without escaping.

Ids made here start with the time and end with randomness, so they sort by birth. Both are arguments.
"""

import re
from typing import Annotated, Final, NewType

from msgspec import Meta

RoomId = NewType("RoomId", str)
UserId = NewType("UserId", str)
CommandId = NewType("CommandId", str)
ConnectionId = NewType("ConnectionId", str)
NodeId = NewType("NodeId", str)
DeviceId = NewType("DeviceId", str)
MessageId = NewType("MessageId", str)
RequestId = NewType("RequestId", str)
InviteId = NewType("InviteId", str)
ComboId = NewType("ComboId", str)
GiftId = NewType("GiftId", str)
TransactionId = NewType("TransactionId", str)

# The lookahead keeps Python's `$` from accepting a trailing newline; in ECMAScript it changes nothing.
ID_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$(?!\n)"
_ID: Final = re.compile(ID_PATTERN)

Identifier = Annotated[str, Meta(pattern=ID_PATTERN)]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_BITS: Final = 48
_RANDOM_BYTES: Final = 10
_TIME_LETTERS: Final = 10


def is_id(text: object) -> bool:
    """Whether `text` may be used as an identifier."""
    return isinstance(text, str) and _ID.match(text) is not None


def new_id(random_bytes: bytes, now_ms: int) -> str:
    """26 characters: 48 bits of time, then 80 of the given randomness; sorts by time."""
    if len(random_bytes) < _RANDOM_BYTES:
        raise ValueError(f"an id takes {_RANDOM_BYTES} random bytes")
    number = (now_ms & ((1 << _TIME_BITS) - 1)) << (8 * _RANDOM_BYTES)
    number |= int.from_bytes(random_bytes[:_RANDOM_BYTES])
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))


def id_after(previous: str, random_bytes: bytes, now_ms: int) -> str:
    """An id that sorts after `previous`, one of ours (empty: none), even where this clock is behind the one
    that named it or stands in the same millisecond."""
    born_ms = 0
    for letter in previous[:_TIME_LETTERS]:
        born_ms = born_ms << 5 | _ALPHABET.index(letter)
    return new_id(random_bytes, max(now_ms, born_ms + 1))


def node_of(connection_id: str) -> NodeId:
    """The node that holds a connection: connection ids are `<node>.<number>`."""
    return NodeId(connection_id.partition(".")[0])
