"""The commands on sorted sets and streams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

from tests.model.commands import SYNTAX, Command, whole
from tests.model.database import CommandError, Database, Stream


class SortedSet(dict[bytes, float]):
    """Scores by member."""

    def in_order(self) -> list[tuple[bytes, float]]:
        return sorted(self.items(), key=lambda pair: (pair[1], pair[0]))


def shown(score: float) -> bytes:
    return b"%d" % score if score == int(score) else repr(score).encode()


def _add(data: Database, words: Sequence[bytes]) -> Any:
    key, *rest = words
    options = set()
    while rest and rest[0].upper() in (b"NX", b"XX", b"GT", b"LT", b"CH"):
        options.add(rest.pop(0).upper())
    held = data.change(key, SortedSet)
    added = changed = 0
    for score, member in zip(map(float, rest[::2]), rest[1::2], strict=True):
        old = held.get(member)
        refused = (
            (b"NX" in options and old is not None)
            or (b"XX" in options and old is None)
            or (b"GT" in options and old is not None and score <= old)
            or (b"LT" in options and old is not None and score >= old)
        )
        if not refused:
            held[member] = score
            added += old is None
            changed += old != score
    data.tidy(key)
    return changed if b"CH" in options else added


def _remove(data: Database, words: Sequence[bytes]) -> int:
    held = data.read(words[0], SortedSet)
    if held is None:
        return 0
    gone = sum(held.pop(member, None) is not None for member in words[1:])
    data.tidy(words[0])
    return gone


def _bound(text: bytes) -> tuple[float, bool]:
    """A score bound, and whether it is left out itself."""
    open_end = text.startswith(b"(")
    return float(text[1:] if open_end else text), open_end


def _within(score: float, low: bytes, high: bytes) -> bool:
    (least, least_open), (most, most_open) = _bound(low), _bound(high)
    above = score > least if least_open else score >= least
    below = score < most if most_open else score <= most
    return above and below


def _after(member: bytes, low: bytes) -> bool:
    return low == b"-" or (member > low[1:] if low.startswith(b"(") else member >= low[1:])


def _before(member: bytes, high: bytes) -> bool:
    return high == b"+" or (member < high[1:] if high.startswith(b"(") else member <= high[1:])


def _limited(found: list[Any], options: list[bytes]) -> list[Any]:
    if b"LIMIT" not in options:
        return found
    at = options.index(b"LIMIT")
    offset, count = whole(options[at + 1]), whole(options[at + 2])
    return found[offset:] if count < 0 else found[offset : offset + count]


def _listed(found: list[tuple[bytes, float]], options: list[bytes]) -> list[bytes]:
    if b"WITHSCORES" in options:
        return [part for member, score in found for part in (member, shown(score))]
    return [member for member, _ in found]


def _range(data: Database, words: Sequence[bytes]) -> list[bytes]:
    key, low, high, *rest = words
    options = [word.upper() for word in rest]
    found = (data.read(key, SortedSet) or SortedSet()).in_order()
    if b"REV" in options:
        found.reverse()
        low, high = (high, low) if {b"BYSCORE", b"BYLEX"} & set(options) else (low, high)
    if b"BYSCORE" in options:
        found = [pair for pair in found if _within(pair[1], low, high)]
    elif b"BYLEX" in options:
        found = [pair for pair in found if _after(pair[0], low) and _before(pair[0], high)]
    else:
        first, last = whole(low), whole(high)
        first = max(0, first + len(found)) if first < 0 else first
        last = last + len(found) if last < 0 else last
        found = found[first : last + 1]
    return _listed(_limited(found, options), options)


def _with_mode(mode: bytes) -> Command:
    def ranged(data: Database, words: Sequence[bytes]) -> list[bytes]:
        return _range(data, [*words[:3], mode, *words[3:]])

    return ranged


def _remove_by_score(data: Database, words: Sequence[bytes]) -> int:
    held = data.read(words[0], SortedSet) or SortedSet()
    gone = [member for member, score in held.items() if _within(score, words[1], words[2])]
    for member in gone:
        del held[member]
    data.tidy(words[0])
    return len(gone)


def _count(data: Database, words: Sequence[bytes]) -> int:
    held = data.read(words[0], SortedSet) or SortedSet()
    return sum(_within(score, words[1], words[2]) for score in held.values())


def _score(data: Database, words: Sequence[bytes]) -> bytes | None:
    score = (data.read(words[0], SortedSet) or SortedSet()).get(words[1])
    return None if score is None else shown(score)


def _increase(data: Database, words: Sequence[bytes]) -> bytes:
    held = data.change(words[0], SortedSet)
    held[words[2]] = held.get(words[2], 0.0) + float(words[1])
    return shown(held[words[2]])


def _place(text: bytes, missing: float) -> tuple[float, float]:
    """An entry id as a range bound."""
    if text in (b"-", b"+"):
        return (-math.inf, 0) if text == b"-" else (math.inf, 0)
    first, _, second = text.partition(b"-")
    return whole(first), whole(second) if second else missing


def _entry_id(place: tuple[int, int]) -> bytes:
    return b"%d-%d" % place


def _append(data: Database, words: Sequence[bytes]) -> bytes | None:
    key, *rest = words
    options: list[bytes] = []
    while rest and rest[0].upper() in (b"NOMKSTREAM", b"MAXLEN", b"MINID"):
        option = rest.pop(0).upper()
        options.append(option)
        if option != b"NOMKSTREAM":
            if rest[0] in (b"~", b"="):
                rest.pop(0)
            options.append(rest.pop(0))
    if b"NOMKSTREAM" in options and data.read(key, Stream) is None:
        return None
    stream = data.change(key, Stream)
    place = _new_place(data, stream, rest.pop(0))
    stream.entries[place] = list(rest)
    stream.last = place
    if b"MAXLEN" in options:
        _trim(stream, whole(options[options.index(b"MAXLEN") + 1]))
    return _entry_id(place)


def _new_place(data: Database, stream: Stream, text: bytes) -> tuple[int, int]:
    if text == b"*":
        now = max(data.now_ms(), stream.last[0])
        return now, stream.last[1] + 1 if now == stream.last[0] else 0
    first, second = _place(text, 0)
    place = int(first), int(second)
    if place <= stream.last:
        raise CommandError("ERR The ID specified in XADD is equal or smaller than the target stream top item")
    return place


def _trim(stream: Stream, most: int) -> int:
    """Exactly; a server may keep some more when it is asked with `~`."""
    gone = list(islice(stream.entries, max(0, len(stream.entries) - most)))
    for place in gone:
        del stream.entries[place]
    return len(gone)


def _entries(data: Database, words: Sequence[bytes], *, backwards: bool) -> list[list[Any]]:
    stream = data.read(words[0], Stream)
    low, high = (words[2], words[1]) if backwards else (words[1], words[2])
    if stream is None:
        return []
    least = _place(low.removeprefix(b"("), 0)
    most = _place(high.removeprefix(b"("), math.inf)
    least_open, most_open = low.startswith(b"("), high.startswith(b"(")
    found = []
    for place in reversed(stream.entries):  # most ask for what is new
        if place < least or (least_open and place == least):
            break
        if place < most or (not most_open and place == most):
            found.append(place)
    if not backwards:
        found.reverse()
    options = [word.upper() for word in words[3:]]
    if options[:1] == [b"COUNT"]:
        found = found[: whole(options[1])]
    return [[_entry_id(place), list(stream.entries[place])] for place in found]


def _forget(data: Database, words: Sequence[bytes]) -> int:
    stream = data.read(words[0], Stream)
    if stream is None:
        return 0
    places = ((int(first), int(second)) for first, second in (_place(word, 0) for word in words[1:]))
    return sum(stream.entries.pop(place, None) is not None for place in places)


def _trimmed(data: Database, words: Sequence[bytes]) -> int:
    stream = data.read(words[0], Stream)
    amount = words[-1] if len(words) < 5 else words[3]
    if words[1].upper() != b"MAXLEN":
        raise CommandError(SYNTAX)
    return 0 if stream is None else _trim(stream, whole(amount))


COMMANDS: dict[bytes, Command] = {
    b"ZADD": _add,
    b"ZREM": _remove,
    b"ZRANGE": _range,
    b"ZRANGEBYSCORE": _with_mode(b"BYSCORE"),
    b"ZRANGEBYLEX": _with_mode(b"BYLEX"),
    b"ZREMRANGEBYSCORE": _remove_by_score,
    b"ZCARD": lambda data, words: len(data.read(words[0], SortedSet) or ()),
    b"ZCOUNT": _count,
    b"ZSCORE": _score,
    b"ZINCRBY": _increase,
    b"XADD": _append,
    b"XLEN": lambda data, words: len(stream.entries) if (stream := data.read(words[0], Stream)) else 0,
    b"XRANGE": lambda data, words: _entries(data, words, backwards=False),
    b"XREVRANGE": lambda data, words: _entries(data, words, backwards=True),
    b"XDEL": _forget,
    b"XTRIM": _trimmed,
}
