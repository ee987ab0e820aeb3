"""Messages to a node or to one connection on it, at most once.

Connection ids are `<node>.<number>`, so a signal to a connection finds its way without a look-up.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from state.ids import node_of
from state.keys import Keys
from state.rejections import Unavailable
from state.server import Server

# name, connection id (None: for the node itself), body
SignalHandler = Callable[[str, str | None, dict[str, Any]], None]
ANY: Final = "*"
_PAUSE_S: Final = 0.2


class Signal(Struct, frozen=True, array_like=True):
    """What travels."""

    name: str
    connection_id: str | None
    body: dict[str, Any]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Signal)


class Signals:
    """Sends and receives signals."""

    def __init__(self, server: Server, keys: Keys, node: str) -> None:
        self._server = server
        self._keys = keys
        self._node = node
        self._channel = keys.node_channel(node)
        self._handlers: dict[str, SignalHandler] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to receive, as soon as the server is there."""
        self._task = asyncio.get_running_loop().create_task(self._subscribe())

    async def _subscribe(self) -> None:
        while True:
            try:
                await self._server.subscribe((self._channel,))
            except Unavailable:
                await asyncio.sleep(_PAUSE_S)
                continue
            return

    async def listening(self) -> None:
        """Wait until signals come in: whoever makes itself known before that misses the first."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def to_connection(self, connection_id: str, name: str, body: dict[str, Any]) -> None:
        """Send to the node that holds this connection."""
        await self._send(node_of(connection_id), Signal(name, connection_id, body))

    async def to_node(self, node: str, name: str, body: dict[str, Any]) -> None:
        """Send to a node."""
        await self._send(node, Signal(name, None, body))

    async def _send(self, node: str, signal: Signal) -> None:
        if node == self._node:
            self._deliver(signal)
        else:
            await self._server.publish(self._keys.node_channel(node), _encoder.encode(signal))

    def handle(self, name: str, handler: SignalHandler) -> None:
        """Say who handles the signals of a name here (`*`: all others). Must not block."""
        self._handlers[name] = handler

    def on_message(self, channel: str, message: bytes) -> bool:
        """A message of the server; False when it is not for us."""
        if channel != self._channel:
            return False
        self._deliver(_decoder.decode(message))
        return True

    def _deliver(self, signal: Signal) -> None:
        handler = self._handlers.get(signal.name) or self._handlers.get(ANY)
        if handler is not None:
            handler(signal.name, signal.connection_id, signal.body)
