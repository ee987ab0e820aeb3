"""The port itself: calls, errors, messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from state.redis_client import load_script
from state.server import Server, ServerError


class Ear:
    """Hears and remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.resets: list[str] = []

    def on_message(self, channel: str, message: bytes) -> None:
        self.heard.append((channel, message))

    def on_reset(self, channels: Sequence[str]) -> None:
        self.resets += channels


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_plain_commands(server: Server) -> None:
    assert await server.execute("SET", "t:a", "1", "NX", "PX", 10_000) is not None
    assert await server.execute("SET", "t:a", "2", "NX", "PX", 10_000) is None
    assert await server.execute("ZADD", "t:z", 0, "b", 0, "a", 0, "c") == 3
    assert await server.execute("ZRANGEBYLEX", "t:z", "(a", "+", "LIMIT", 0, 1) == [b"b"]
    assert await server.execute("HGET", "t:h", "missing") is None


async def test_many_calls_at_once_keep_their_answers(server: Server) -> None:
    numbers = range(500)
    await asyncio.gather(*(server.execute("HSET", f"t:{n}", "n", n) for n in numbers))
    answers = await asyncio.gather(*(server.execute("HGET", f"t:{n}", "n") for n in numbers))
    assert answers == [str(n).encode() for n in numbers]


async def test_an_error_reply_is_an_error_and_harms_nobody_else(server: Server) -> None:
    await server.execute("SET", "t:text", "x")
    wrong: object
    right: object
    wrong, right = await asyncio.gather(
        server.execute("HGET", "t:text", "f"), server.execute("GET", "t:text"), return_exceptions=True
    )
    assert isinstance(wrong, ServerError)
    assert right == b"x"


async def test_messages_reach_every_subscriber_in_order(server: Server, other_server: Server) -> None:
    ears = (Ear(), Ear())
    for one, ear in zip((server, other_server), ears, strict=True):
        one.listen(ear)
        await one.subscribe(["t:{a}", "t:{b}"])
    for number in range(100):
        await server.publish("t:{a}", b"%d" % number)
    await until(lambda: all(len(ear.heard) == 100 for ear in ears))
    for ear in ears:
        assert ear.heard == [("t:{a}", b"%d" % number) for number in range(100)]
        assert ear.resets == []


async def test_what_is_unsubscribed_is_not_heard(server: Server, other_server: Server) -> None:
    ear = Ear()
    server.listen(ear)
    await server.subscribe(["t:{a}", "t:{b}"])
    await server.unsubscribe(["t:{a}"])
    await server.subscribe(["t:{c}"])
    for channel in ("t:{a}", "t:{b}", "t:{c}"):
        await other_server.publish(channel, b"x")
    await until(lambda: len(ear.heard) >= 2)
    assert sorted(channel for channel, _ in ear.heard) == ["t:{b}", "t:{c}"]
    await server.subscribe(["t:{a}"])
    await other_server.publish("t:{a}", b"y")
    await until(lambda: ("t:{a}", b"y") in ear.heard)


async def test_many_channels_at_once(server: Server, other_server: Server) -> None:
    ear = Ear()
    server.listen(ear)
    channels = [f"t:{{{number}}}" for number in range(1_500)]
    await asyncio.gather(*(server.subscribe([channel]) for channel in channels))
    await asyncio.gather(*(other_server.publish(channel, b"x") for channel in channels))
    await until(lambda: len(ear.heard) == len(channels))


_SCRIPTS = "commit create load position since claim restore enter depart reap lease take bury post"


@pytest.mark.parametrize("name", _SCRIPTS.split())
def test_every_script_names_its_arguments(name: str) -> None:
    text = load_script(name).text.decode()
    assert "-- KEYS 1" in text
    assert "-- ARGV 1 generation" in text
