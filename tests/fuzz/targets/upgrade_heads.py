"""The front's short way through HTTP: what it accepts, aiohttp must have read in the same way.

The front answers plain WebSocket upgrades itself. If it ever took a head for something else than aiohttp
does, a proxy before us could be made to disagree with us.
"""

import asyncio
import random
from unittest import mock

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser

from realtime.engine.front import parse_head
from tests.fuzz.registry import Target

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LINES = (
    "Host: example.org",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Connection: keep-alive, Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
    "Origin: https://app.example.org",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "X-Long: " + "a" * 300,
    " folded",
    "NoColon",
    "Bad Name: x",
    "Bad\x00: x",
    "X: a\x0bb",
    "X: a\nHost: evil",
    "Upgrade:websocket",
    "upgrade : websocket",
    "Ümlaut: x",
)
PATHS = ("/socket.io/?EIO=4&transport=websocket", "/", "*", "http://x/", "/a b", "/%zz", "/x#y", "//x/y")


def make(rng: random.Random) -> bytes:
    lines = list(LINES[:6]) if rng.random() < 0.7 else []
    for _ in range(rng.randrange(4)):
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(LINES))
    method = rng.choice(("GET", "GET", "GET", "POST", "get", "GET "))
    version = rng.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.1 ", "HTTP/2"))
    head = "\r\n".join([f"{method} {rng.choice(PATHS)} {version}", *lines])
    data = bytearray(head.encode("latin-1", "replace"))
    if rng.random() < 0.3:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


_loop = asyncio.new_event_loop()


def check(head: bytes) -> None:
    accepted = parse_head(head)
    if accepted is None:
        return
    target, headers = accepted
    parser = HttpRequestParser(mock.Mock(), _loop, 2**16, max_line_size=8190, max_field_size=8190)
    try:
        messages, upgraded, tail = parser.feed_data(head + b"\r\n\r\n")
    except HttpProcessingError as error:
        raise AssertionError(f"aiohttp refuses what the front accepts: {error}") from error
    assert len(messages) == 1
    assert upgraded
    assert tail == b""
    message = messages[0][0]
    assert (message.method, message.path) == ("GET", target)
    assert {name.lower(): value for name, value in message.headers.items()} == dict(headers)


TARGETS = [Target("upgrade-heads", make, check)]
