"""Random commands, given to the model and to a real server: the same question must get the same answer.

`python -m tests.model --commands N --seed S --url unix:///...` runs any number of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import redis

from tests.model.database import CommandError
from tests.model.server import ModelProcess

KEYS = [b"one", b"two", b"three"]
WORDS = [b"a", b"b", b"c", b"1", b"2", b"10", b""]
Maker = Callable[[random.Random], list[bytes]]


def _key(rng: random.Random) -> bytes:
    return rng.choice(KEYS)


def _some(rng: random.Random, most: int = 3) -> list[bytes]:
    return [rng.choice(WORDS) for _ in range(rng.randint(1, most))]


def _place(rng: random.Random) -> bytes:
    return b"%d-%d" % (rng.randint(1, 30), rng.randint(0, 1))


def _score_bound(rng: random.Random) -> bytes:
    return rng.choice([b"-inf", b"+inf", b"(2", b"2", b"0", b"(0", b"5"])


def _lex_bound(rng: random.Random) -> bytes:
    return rng.choice([b"-", b"+", b"[a", b"(a", b"[c", b"(1"])


def _limit(rng: random.Random) -> list[bytes]:
    return rng.choice([[], [b"LIMIT", b"0", b"2"], [b"LIMIT", b"1", b"-1"]])


def _pairs(rng: random.Random) -> list[bytes]:
    return [part for word in _some(rng) for part in (word, rng.choice(WORDS))]


def _scored(rng: random.Random) -> list[bytes]:
    return [part for word in _some(rng) for part in (b"%d" % rng.randint(0, 6), word)]


def _stream_ends(rng: random.Random) -> list[bytes]:
    low = rng.choice([b"-", _place(rng), b"(" + _place(rng)])
    high = rng.choice([b"+", _place(rng), b"(" + _place(rng)])
    return [low, high]


def _counted(rng: random.Random) -> list[bytes]:
    return rng.choice([[], [b"COUNT", b"2"]])


MAKERS: list[Maker] = [
    lambda rng: [
        b"SET",
        _key(rng),
        rng.choice(WORDS),
        *rng.choice([[], [b"NX"], [b"XX"], [b"PX", b"60000"]]),
    ],
    lambda rng: [b"GET", _key(rng)],
    lambda rng: [b"GETDEL", _key(rng)],
    lambda rng: [b"MGET", *KEYS],
    lambda rng: [b"INCR", _key(rng)],
    lambda rng: [b"DEL", *rng.sample(KEYS, rng.randint(1, 2))],
    lambda rng: [b"EXISTS", *KEYS],
    lambda rng: [b"PEXPIRE", _key(rng), rng.choice([b"60000", b"-1"]), *rng.choice([[], [b"NX"], [b"XX"]])],
    lambda rng: [b"PERSIST", _key(rng)],
    lambda rng: [b"HSET", _key(rng), *_pairs(rng)],
    lambda rng: [b"HSETNX", _key(rng), rng.choice(WORDS), rng.choice(WORDS)],
    lambda rng: [b"HGET", _key(rng), rng.choice(WORDS)],
    lambda rng: [b"HMGET", _key(rng), *_some(rng)],
    lambda rng: [b"HDEL", _key(rng), *_some(rng)],
    lambda rng: [b"HINCRBY", _key(rng), rng.choice(WORDS), b"%d" % rng.randint(-3, 3)],
    lambda rng: [b"HLEN", _key(rng)],
    lambda rng: [b"HEXISTS", _key(rng), rng.choice(WORDS)],
    lambda rng: [b"SADD", _key(rng), *_some(rng)],
    lambda rng: [b"SREM", _key(rng), *_some(rng)],
    lambda rng: [b"SCARD", _key(rng)],
    lambda rng: [b"SISMEMBER", _key(rng), rng.choice(WORDS)],
    lambda rng: [
        b"ZADD",
        _key(rng),
        *rng.choice([[], [b"NX"], [b"XX"], [b"GT"], [b"LT"], [b"CH"]]),
        *_scored(rng),
    ],
    lambda rng: [b"ZREM", _key(rng), *_some(rng)],
    lambda rng: [b"ZRANGE", _key(rng), b"%d" % rng.randint(-3, 3), b"%d" % rng.randint(-3, 3)],
    lambda rng: [b"ZRANGE", _key(rng), _score_bound(rng), _score_bound(rng), b"BYSCORE", *_limit(rng)],
    lambda rng: [b"ZRANGEBYSCORE", _key(rng), b"-inf", _score_bound(rng), b"WITHSCORES", *_limit(rng)],
    lambda rng: [b"ZREMRANGEBYSCORE", _key(rng), _score_bound(rng), _score_bound(rng)],
    lambda rng: [b"ZCARD", _key(rng)],
    lambda rng: [b"ZCOUNT", _key(rng), _score_bound(rng), _score_bound(rng)],
    lambda rng: [b"ZSCORE", _key(rng), rng.choice(WORDS)],
    lambda rng: [b"ZINCRBY", _key(rng), b"%d" % rng.randint(-3, 3), rng.choice(WORDS)],
    lambda rng: [
        b"XADD",
        _key(rng),
        *rng.choice([[], [b"NOMKSTREAM"], [b"MAXLEN", b"3"]]),
        _place(rng),
        b"f",
        b"v",
    ],
    lambda rng: [b"XLEN", _key(rng)],
    lambda rng: [b"XRANGE", _key(rng), *_stream_ends(rng), *_counted(rng)],
    lambda rng: [b"XREVRANGE", _key(rng), *_stream_ends(rng)[::-1], *_counted(rng)],
    lambda rng: [b"XDEL", _key(rng), _place(rng), _place(rng)],
    lambda rng: [b"SPUBLISH", b"channel", rng.choice(WORDS)],
]


def random_command(rng: random.Random) -> list[bytes]:
    return rng.choice(MAKERS)(rng)


def model_answer(process: ModelProcess, words: Sequence[bytes]) -> Any:
    """Its reply; an error by its first word, a status as the bytes it is on the wire."""
    try:
        return _plain(process.call(words))
    except CommandError as error:
        return ("error", str(error).split(" ", 1)[0])


def server_answers(client: redis.Redis, batch: Sequence[Sequence[bytes]]) -> list[Any]:
    """The real server's replies to many commands in one round trip, untouched by the client library."""
    connection = client.connection_pool.get_connection()
    try:
        packed = b"".join(b"".join(connection.pack_command(*words)) for words in batch)
        connection.send_packed_command([packed])
        return [_read(connection) for _ in batch]
    finally:
        client.connection_pool.release(connection)


def _read(connection: Any) -> Any:
    try:
        return _plain(connection.read_response())
    except redis.ResponseError as error:
        return ("error", _first_word(error))


def _first_word(error: redis.ResponseError) -> str:
    """The library cuts `ERR ` off; every other first word stays."""
    word = str(error).split(" ", 1)[0]
    return word if word.isupper() and word.isalpha() else "ERR"


def _plain(reply: Any) -> Any:
    if reply is True or reply == "OK":
        return b"OK"
    if isinstance(reply, (list, tuple)):
        return [_plain(part) for part in reply]
    return reply


def compare(client: redis.Redis, seed: int, count: int, batch_size: int = 200) -> None:
    """Raises at the first difference, with what led to it."""
    rng = random.Random(seed)
    process = ModelProcess(lambda: 1_000_000_000_000)
    client.flushall()
    for _start in range(0, count, batch_size):
        batch = [random_command(rng) for _ in range(batch_size)]
        for words, server in zip(batch, server_answers(client, batch), strict=True):
            model = model_answer(process, words)
            if model != server:
                told = b" ".join(words).decode()
                raise AssertionError(f"seed {seed}: {told}: the server says {server!r}, the model {model!r}")
