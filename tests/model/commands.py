"""The commands on keys, strings, hashes and sets. Each gets the database and its arguments as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.model.database import CommandError, Database

SYNTAX = "ERR syntax error"
NOT_INTEGER = "ERR value is not an integer or out of range"
Command = Callable[[Database, Sequence[bytes]], Any]


def whole(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise CommandError(NOT_INTEGER) from None


def delete(data: Database, keys: Sequence[bytes]) -> int:
    return sum(data.exists(key) and data.delete(key) for key in keys)


def exists(data: Database, keys: Sequence[bytes]) -> int:
    return sum(data.exists(key) for key in keys)


def expire_after(unit_ms: int) -> Command:
    def expire(data: Database, words: Sequence[bytes]) -> int:
        key, amount, *options = words
        if not data.exists(key):
            return 0
        end, present = data.now_ms() + whole(amount) * unit_ms, data.ends.get(key)
        for option in (word.upper() for word in options):
            if option == b"NX" and present is not None:
                return 0
            if option == b"GT" and (present is None or end <= present):
                return 0
            if option == b"LT" and present is not None and end >= present:
                return 0
            if option == b"XX" and present is None:
                return 0
        data.expire(key, end)
        return 1

    return expire


def persist(data: Database, words: Sequence[bytes]) -> int:
    return int(data.exists(words[0]) and data.ends.pop(words[0], None) is not None)


def remaining(data: Database, words: Sequence[bytes]) -> int:
    if not data.exists(words[0]):
        return -2
    end = data.ends.get(words[0])
    return -1 if end is None else end - data.now_ms()


def get(data: Database, words: Sequence[bytes]) -> bytes | None:
    value: bytes | None = data.read(words[0], bytes)
    return value


def get_many(data: Database, keys: Sequence[bytes]) -> list[bytes | None]:
    found = (data.read(key, object) for key in keys)
    return [value if isinstance(value, bytes) else None for value in found]


def get_and_delete(data: Database, words: Sequence[bytes]) -> bytes | None:
    value = get(data, words)
    data.delete(words[0])
    return value


def get_and_expire(data: Database, words: Sequence[bytes]) -> bytes | None:
    value = get(data, words)
    if value is not None and len(words) > 1:
        _lifetime(data, words[0], [word.upper() for word in words[1:]])
    return value


def _lifetime(data: Database, key: bytes, options: list[bytes]) -> None:
    match options:
        case [b"PX", amount]:
            data.expire(key, data.now_ms() + whole(amount))
        case [b"EX", amount]:
            data.expire(key, data.now_ms() + whole(amount) * 1000)
        case [b"PXAT", end]:
            data.expire(key, whole(end))
        case [b"PERSIST"]:
            data.expire(key, None)
        case [b"KEEPTTL"] | []:
            pass
        case _:
            raise CommandError(SYNTAX)


def put(data: Database, words: Sequence[bytes]) -> Any:
    key, value, *rest = words
    options = [word.upper() for word in rest]
    held = data.read(key, object)
    conditions = {b"NX": held is None, b"XX": held is not None}
    wanted = [conditions[word] for word in options if word in conditions]
    answer = held if b"GET" in options else True
    if not all(wanted):
        return held if b"GET" in options else None
    lifetime = [word for word in options if word not in (b"NX", b"XX", b"GET")]
    data.values[key] = value
    if lifetime != [b"KEEPTTL"]:
        data.ends.pop(key, None)
    _lifetime(data, key, lifetime)
    return answer


def increment(data: Database, words: Sequence[bytes]) -> int:
    amount = whole(words[1]) if len(words) > 1 else 1
    held = data.read(words[0], bytes)
    value = whole(b"0" if held is None else held) + amount
    data.values[words[0]] = b"%d" % value
    return value


def hash_set(data: Database, words: Sequence[bytes]) -> int:
    key, *pairs = words
    if not pairs or len(pairs) % 2:
        raise CommandError("ERR wrong number of arguments for 'hset' command")
    held = data.change(key, dict)
    before = len(held)
    held.update(zip(pairs[::2], pairs[1::2], strict=True))
    return len(held) - before


def hash_set_new(data: Database, words: Sequence[bytes]) -> int:
    held = data.change(words[0], dict)
    if words[1] in held:
        return 0
    held[words[1]] = words[2]
    return 1


def hash_get(data: Database, words: Sequence[bytes]) -> bytes | None:
    held = data.read(words[0], dict) or {}
    return held.get(words[1])


def hash_get_many(data: Database, words: Sequence[bytes]) -> list[bytes | None]:
    held = data.read(words[0], dict) or {}
    return [held.get(field) for field in words[1:]]


def hash_get_all(data: Database, words: Sequence[bytes]) -> list[bytes]:
    held = data.read(words[0], dict) or {}
    return [part for pair in held.items() for part in pair]


def hash_delete(data: Database, words: Sequence[bytes]) -> int:
    held = data.read(words[0], dict)
    if held is None:
        return 0
    gone = sum(held.pop(field, None) is not None for field in words[1:])
    data.tidy(words[0])
    return gone


def hash_increment(data: Database, words: Sequence[bytes]) -> int:
    held = data.change(words[0], dict)
    value = whole(held.get(words[1], b"0")) + whole(words[2])
    held[words[1]] = b"%d" % value
    return value


def set_add(data: Database, words: Sequence[bytes]) -> int:
    held = data.change(words[0], set)
    before = len(held)
    held.update(words[1:])
    return len(held) - before


def set_remove(data: Database, words: Sequence[bytes]) -> int:
    held = data.read(words[0], set) or set()
    gone = held & set(words[1:])
    held -= gone
    data.tidy(words[0])
    return len(gone)


def server_time(data: Database, _words: Sequence[bytes]) -> list[bytes]:
    now = data.now_ms()
    return [b"%d" % (now // 1000), b"%d" % (now % 1000 * 1000)]


COMMANDS: dict[bytes, Command] = {
    b"DEL": delete,
    b"UNLINK": delete,
    b"EXISTS": exists,
    b"EXPIRE": expire_after(1000),
    b"PEXPIRE": expire_after(1),
    b"PERSIST": persist,
    b"PTTL": remaining,
    b"GET": get,
    b"MGET": get_many,
    b"GETDEL": get_and_delete,
    b"GETEX": get_and_expire,
    b"SET": put,
    b"INCR": increment,
    b"INCRBY": increment,
    b"HSET": hash_set,
    b"HSETNX": hash_set_new,
    b"HGET": hash_get,
    b"HMGET": hash_get_many,
    b"HGETALL": hash_get_all,
    b"HDEL": hash_delete,
    b"HINCRBY": hash_increment,
    b"HLEN": lambda data, words: len(data.read(words[0], dict) or ()),
    b"HEXISTS": lambda data, words: int(words[1] in (data.read(words[0], dict) or ())),
    b"HKEYS": lambda data, words: list(data.read(words[0], dict) or ()),
    b"HVALS": lambda data, words: list((data.read(words[0], dict) or {}).values()),
    b"SADD": set_add,
    b"SREM": set_remove,
    b"SMEMBERS": lambda data, words: sorted(data.read(words[0], set) or ()),
    b"SISMEMBER": lambda data, words: int(words[1] in (data.read(words[0], set) or ())),
    b"SCARD": lambda data, words: len(data.read(words[0], set) or ()),
    b"TIME": server_time,
    b"PING": lambda _data, _words: "PONG",
}
