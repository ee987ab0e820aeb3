"""The one door to Redis: a thin port that a real server, a model, and a faulty network can all stand behind.

Everything atomic is a script, called by name; the rest is a handful of plain commands. Each script gets, as
its first argument, the *generation* of the server process it runs on (the run id that the connection read
when it was made). A process that was restarted or promoted has another generation; scripts that write rooms
compare it, and so notice that writes may have been lost before anything is built on what is left.

Messages are at most once. A subscriber learns by `on_reset` that it may have missed some.
"""

from collections.abc import Sequence
from typing import Any, Protocol

Value = bytes | str | int | float


class ServerError(Exception):
    """The server answered, with an error."""


class Listener(Protocol):
    """Hears the messages of one node's subscriptions. Called in order, must not block."""

    def on_message(self, channel: str, message: bytes) -> None:
        """A message came in."""
        ...

    def on_reset(self, channels: Sequence[str]) -> None:
        """These channels are subscribed again after a time in which messages may have been lost."""
        ...


class Server(Protocol):
    """A Valkey or Redis, single or cluster. Every call raises Unavailable when there is no answer in time."""

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        """Run `state/<name>.lua` atomically. All keys share one slot."""
        ...

    async def execute(self, *command: Value) -> Any:
        """Run one plain command; its second word is the key. Error replies raise ServerError."""
        ...

    async def publish(self, channel: str, message: bytes) -> None:
        """Send to whoever is subscribed now (sharded publish)."""
        ...

    async def subscribe(self, channels: Sequence[str]) -> None:
        """Start to hear these channels; returns when the server confirmed them."""
        ...

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Stop to hear them."""
        ...

    def listen(self, listener: Listener) -> None:
        """Say who hears the messages; to be called once, before the first subscription."""
        ...

    async def open(self) -> None:
        """Connect. Succeeds even if the server is away: calls then raise until it is back."""
        ...

    async def close(self) -> None:
        """Let go of all connections and tasks."""
        ...
