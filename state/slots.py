"""Which slot of a cluster a key is in: CRC16 of what stands in its first braces."""

import binascii
from typing import Final

SLOTS: Final = 16_384


def tag_in(key: str) -> str:
    """The part of a key that decides: what stands between the first brace and the next, unless nothing."""
    start = key.find("{")
    if start < 0:
        return key
    end = key.find("}", start + 1)
    return key[start + 1 : end] if end > start + 1 else key


def slot_of(key: str) -> int:
    """The slot of a key or sharded channel."""
    return binascii.crc_hqx(tag_in(key).encode(), 0) % SLOTS


def tag_for(first: int, last: int) -> str:
    """A short tag whose slot lies in this range."""
    number = 0
    while True:
        tag = f"{number:x}"
        if first <= slot_of(tag) <= last:
            return tag
        number += 1
