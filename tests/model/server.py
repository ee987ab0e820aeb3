"""The model as nodes see it: a server process (`ModelProcess`), and for each node a port (`ModelServer`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import state
from state.server import Listener, ServerError, Value
from tests.model import commands, ordered
from tests.model.database import CommandError, Database
from tests.model.lua import LuaScripts

STATE = Path(state.__file__).parent
COMMANDS = {**commands.COMMANDS, **ordered.COMMANDS}
Subscriber = Callable[[str, bytes], None]


def shipped_scripts() -> dict[str, str]:
    """The scripts of the kernel by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(STATE.glob("*.lua"))}


def as_bytes(value: Value) -> bytes:
    return value if type(value) is bytes else str(value).encode()


class ModelProcess:
    """A server process: its data, its generation, and who is subscribed."""

    def __init__(self, now_ms: Callable[[], int], scripts: dict[str, str] | None = None) -> None:
        self.data = Database(now_ms)
        self.starts = 1
        self.subscribers: dict[str, list[Subscriber]] = {}
        self._scripts = LuaScripts(shipped_scripts() if scripts is None else scripts, self.call)

    @property
    def generation(self) -> bytes:
        return b"process-%d" % self.starts

    def replaced(self, snapshot: tuple[dict[bytes, Any], dict[bytes, int]] | None) -> None:
        """The process was restarted, or a replica took over, with this much of the data."""
        self.starts += 1
        self.data.put_back(snapshot if snapshot is not None else ({}, {}))

    def call(self, words: Sequence[bytes]) -> Any:
        name = words[0].upper()
        if name in (b"SPUBLISH", b"PUBLISH"):
            return self.publish(words[1].decode(), words[2])
        command = COMMANDS.get(name)
        if command is None:
            raise CommandError(f"ERR the model has no command {name.decode()}")
        return command(self.data, words[1:])

    def script(self, name: str, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
        return self._scripts.run(name, keys, [self.generation, *arguments])

    def publish(self, channel: str, message: bytes) -> int:
        listening = self.subscribers.get(channel, [])
        for subscriber in list(listening):
            subscriber(channel, message)
        return len(listening)


class ModelServer:
    """The memory twin of the port: every call is answered at once, every message arrives in the next turn."""

    def __init__(self, process: ModelProcess) -> None:
        self.process = process
        self._listener: Listener | None = None

    async def open(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        for listening in self.process.subscribers.values():
            if self._deliver in listening:
                listening.remove(self._deliver)

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        try:
            return self.process.script(name, [key.encode() for key in keys], [*map(as_bytes, arguments)])
        except CommandError as error:
            raise ServerError(str(error)) from error

    async def execute(self, *command: Value) -> Any:
        try:
            return self.process.call([*map(as_bytes, command)])
        except CommandError as error:
            raise ServerError(str(error)) from error

    async def publish(self, channel: str, message: bytes) -> None:
        self.process.publish(channel, message)

    async def subscribe(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self.process.subscribers.setdefault(channel, []).append(self._deliver)

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self.process.subscribers[channel].remove(self._deliver)

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def _deliver(self, channel: str, message: bytes) -> None:
        listener = self._listener
        if listener is not None:
            asyncio.get_running_loop().call_soon(listener.on_message, channel, message)
