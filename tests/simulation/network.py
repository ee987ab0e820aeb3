"""Connections between nodes and the modelled server, with everything that goes wrong on them.

A connection keeps order, as TCP does. When it breaks, the requests under way arrive up to some point and no
further, their replies never do, and the node learns of it at once or only by waiting in vain. Messages of
channels may be lost without a sign. A server process that was replaced breaks every connection.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from state.rejections import Unavailable
from state.server import Listener, ServerError, Value
from tests.model.database import CommandError
from tests.model.server import ModelProcess, as_bytes
from tests.simulation.loop import OUTSIDE, Process

CALL_SECONDS = 0.8
RECONNECT_SECONDS = (0.02, 1.5)


class Weather:
    """How the network is now; one for all connections."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.latency_seconds = (0.0002, 0.004)
        self.lost_messages = 0.0
        self.breaks = 0.0

    def delay(self) -> float:
        return self.rng.uniform(*self.latency_seconds)

    def happens(self, probability: float) -> bool:
        return probability > 0 and self.rng.random() < probability


class Host:
    """The machine of the server: the process may stand still, and then what arrives waits."""

    def __init__(self, process: ModelProcess) -> None:
        self.process = process
        self.paused = False
        self.links: list[Link] = []
        self.on_commit: Callable[[bytes, str, int, int], None] = lambda _key, _epoch, _before, _after: None
        self._waiting: list[Callable[[], None]] = []

    def arrive(self, act: Callable[[], None]) -> None:
        if self.paused:
            self._waiting.append(act)
        else:
            act()

    def run(self, name: str, keys: list[bytes], arguments: list[bytes]) -> Any:
        reply = self.process.script(name, keys, arguments)
        if name == "commit" and reply[0] == b"ok":
            epoch, before, after = arguments[0].decode(), int(arguments[1]), int(arguments[4])
            self.on_commit(keys[0], epoch, before, after)
        return reply

    def pause(self) -> None:
        self.paused = True

    def go_on(self) -> None:
        self.paused = False
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()

    def replace(self, snapshot: Any) -> None:
        """Another process answers from now on, with this data; nothing that was under way reaches it."""
        self._waiting.clear()
        self.paused = False
        self.process.replaced(snapshot)
        for link in list(self.links):
            link.break_off()


def _give_up(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(Unavailable("no answer in time"))


class Link:
    """A node's door to the server: `state.server.Server` over a network that fails."""

    def __init__(self, host: Host, weather: Weather, owner: Process) -> None:
        self._host = host
        self._weather = weather
        self._owner = owner
        self._listener: Listener | None = None
        self._channels: dict[str, None] = {}
        self._pending: dict[asyncio.Future[Any], None] = {}
        self._connection = 0
        self._generation = b""
        self._sent_until = self._answered_until = self._told_until = 0.0
        self._connecting: asyncio.TimerHandle | None = None
        self.connected = False
        self.connected_at = 0.0
        self.cut = False
        self.dead = False

    # --- The port -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._host.links.append(self)
        self._connect()

    async def close(self) -> None:
        self.die()

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        words = [key.encode() for key in keys], [*map(as_bytes, arguments)]
        return await self._call(lambda: self._host.run(name, *words))

    async def execute(self, *command: Value) -> Any:
        words = [*map(as_bytes, command)]
        return await self._call(lambda: self._host.process.call(words))

    async def publish(self, channel: str, message: bytes) -> None:
        await self._call(lambda: self._host.process.publish(channel, message))

    async def subscribe(self, channels: Sequence[str]) -> None:
        self._channels.update(dict.fromkeys(channels))
        connection = self._connection
        try:
            await self._call(lambda: self._listen_at_server(channels, connection))
        except Unavailable:
            for channel in channels:
                self._channels.pop(channel, None)
            raise

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        for channel in channels:
            self._channels.pop(channel, None)

    # --- Requests and replies -----------------------------------------------------------------------------

    async def _call(self, act: Callable[[], Any]) -> Any:
        if self.dead:
            raise asyncio.CancelledError
        if not self.connected:
            await asyncio.sleep(0)
            raise Unavailable("there is no connection")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._pending[answer] = None
        self._send(act, answer, self._connection)
        if self._weather.happens(self._weather.breaks):
            loop.call_later(self._weather.delay() * 2, self.break_off, context=OUTSIDE)
        overdue = loop.call_later(CALL_SECONDS, _give_up, answer)
        try:
            return await answer
        finally:
            overdue.cancel()
            self._pending.pop(answer, None)

    def _send(self, act: Callable[[], Any], answer: asyncio.Future[Any], connection: int) -> None:
        loop = asyncio.get_running_loop()
        self._sent_until = max(self._sent_until, loop.time() + self._weather.delay())

        def serve() -> None:
            if connection == self._connection and not self.cut:
                self._answer(self._served(act), answer, connection)

        loop.call_at(self._sent_until, self._host.arrive, serve, context=OUTSIDE)

    def _served(self, act: Callable[[], Any]) -> Any:
        if self._generation != self._host.process.generation:
            return Unavailable("the server process was replaced")
        try:
            return act()
        except CommandError as error:
            return ServerError(str(error))

    def _answer(self, result: Any, answer: asyncio.Future[Any], connection: int) -> None:
        loop = asyncio.get_running_loop()
        self._answered_until = max(self._answered_until, loop.time() + self._weather.delay())

        def deliver() -> None:
            if connection != self._connection or self.cut or answer.done():
                return
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        loop.call_at(self._answered_until, deliver, context=OUTSIDE)

    # --- Messages -----------------------------------------------------------------------------------------

    def _listen_at_server(self, channels: Sequence[str], connection: int) -> None:
        subscribers = self._host.process.subscribers

        def told(channel: str, message: bytes) -> None:
            self._tell(channel, message, connection)

        for channel in channels:
            held = [
                other for other in subscribers.get(channel, []) if getattr(other, "link", None) is not self
            ]
            told.link = self  # type: ignore[attr-defined]
            subscribers[channel] = [*held, told]

    def _tell(self, channel: str, message: bytes, connection: int) -> None:
        if connection != self._connection or self.cut or self._weather.happens(self._weather.lost_messages):
            return
        loop = asyncio.get_running_loop()
        self._told_until = max(self._told_until, loop.time() + self._weather.delay())

        def deliver() -> None:
            if (
                connection == self._connection
                and not self.cut
                and not self.dead
                and channel in self._channels
            ):
                listener = self._listener
                assert listener is not None
                loop.call_soon(listener.on_message, channel, message, context=self._owner.context.copy())

        loop.call_at(self._told_until, deliver, context=OUTSIDE)

    # --- The connection -----------------------------------------------------------------------------------

    def break_off(self) -> None:
        """The connection ends; what it carried may have arrived or not."""
        if self.dead:
            return
        self._connection += 1
        self.connected = False
        for answer in [answer for answer in self._pending if not answer.done()]:
            answer.set_exception(Unavailable("the connection broke"))
        if self._connecting is None:
            wait = self._weather.rng.uniform(*RECONNECT_SECONDS)
            loop = asyncio.get_running_loop()
            self._connecting = loop.call_later(wait, self._connect, context=OUTSIDE)

    def die(self) -> None:
        """The node is gone: nothing that it still says is heard."""
        self.dead = True
        self.connected = False
        self._connection += 1
        if self in self._host.links:
            self._host.links.remove(self)
        for answer in [answer for answer in self._pending if not answer.done()]:
            answer.cancel()

    def _connect(self) -> None:
        self._connecting = None
        loop = asyncio.get_running_loop()
        if self.dead:
            return
        if self.cut or self._host.paused:
            self._connecting = loop.call_later(0.3, self._connect, context=OUTSIDE)
            return
        self._connection += 1
        self.connected = True
        self.connected_at = loop.time()
        self._generation = self._host.process.generation
        channels = list(self._channels)
        self._listen_at_server(channels, self._connection)
        if self._listener is not None:
            context = self._owner.context.copy()
            loop.call_soon(self._listener.on_reset, channels, context=context)
