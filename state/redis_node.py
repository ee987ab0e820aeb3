"""One server process behind one address: a connection for calls and one for messages, both kept alive.

A supervisor opens a connection again whenever it is lost, soon at first, then less often, and looks several
times a second whether a reply is overdue; a server that keeps one waiting is treated as gone, so that every
call ends in time. The subscriber also sends itself a message now and then: a connection that looks alive but
delivers nothing is replaced as well. Whoever listens is told which channels may have missed something.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from state.redis_connection import Address, Connection, connect, pack
from state.rejections import Unavailable
from state.server import Listener, ServerError

_CHECK_S: Final = 0.05
_PATIENCE: Final = 4  # times as long, for a server whose answers we had no time to read
_RETRY_S_MIN: Final = 0.05
_RETRY_S_MAX: Final = 0.5
_CHANNELS_PER_CALL: Final = 512


class Timing(Struct, frozen=True):
    """How patient we are."""

    call_seconds: float = 0.7
    wait_seconds: float = 0.25  # for a connection, when there is none at the moment of a call
    probe_seconds: float = 1.0


class Link:
    """A connection that is made again whenever it is lost."""

    def __init__(
        self,
        address: Address,
        timing: Timing,
        on_message: Callable[[list[Any]], None],
        on_open: Callable[[Connection], None],
        on_stray: Callable[[str], None],
    ) -> None:
        self._on_stray = on_stray
        self._address = address
        self._timing = timing
        self._on_message = on_message
        self._on_open = on_open
        self._task: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self.connection: Connection | None = None

    def start(self) -> None:
        """Begin to keep it open."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._supervise())

    async def close(self) -> None:
        """Let go."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self.connection is not None:
            self.connection.abort()

    async def ready(self) -> Connection:
        """The connection, as soon as there is one; raises Unavailable when that takes too long."""
        connection = self.connection
        if connection is not None and not connection.lost.done():
            return connection
        try:
            async with asyncio.timeout(self._timing.wait_seconds):
                while self.connection is None or self.connection.lost.done():
                    self._opened.clear()
                    await self._opened.wait()
        except TimeoutError as error:
            raise Unavailable(f"no connection to {self._address}") from error
        return self.connection

    async def _supervise(self) -> None:
        pause = _RETRY_S_MIN
        while True:
            try:
                async with asyncio.timeout(self._timing.call_seconds):
                    self.connection = await connect(self._address, self._on_message, self._on_stray)
            except (OSError, TimeoutError, Unavailable, ServerError):
                await asyncio.sleep(pause * (0.5 + random.random()))
                pause = min(pause * 2, _RETRY_S_MAX)
                continue
            pause = _RETRY_S_MIN
            self._opened.set()
            self._on_open(self.connection)
            await self._watch(self.connection)

    async def _watch(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        while not connection.lost.done():
            before = loop.time()
            await asyncio.wait((connection.lost,), timeout=_CHECK_S)
            # A loop that was held up has not yet read what came meanwhile: that is not the server's delay.
            held_up = loop.time() - before > 2 * _CHECK_S
            patience = _PATIENCE if held_up else 1
            if connection.oldest_wait() > patience * self._timing.call_seconds:
                connection.abort()


class RedisNode:
    """Calls and subscriptions of one server process."""

    def __init__(
        self,
        address: Address,
        timing: Timing,
        probe_channel: str,
        *,
        in_cluster: bool = False,
        on_stray: Callable[[str], None] = lambda _error: None,
    ) -> None:
        self.address = address
        # In a cluster all channels of one command would have to share a slot.
        self._channels_per_call = 1 if in_cluster else _CHANNELS_PER_CALL
        self._on_stray = on_stray
        self._timing = timing
        self._probe_channel = probe_channel
        self._calls = Link(address, timing, lambda _message: None, lambda _connection: None, on_stray)
        self._messages = Link(address, timing, self._on_message, self._on_subscriber_open, on_stray)
        self._listener: Listener | None = None
        self._wanted: set[str] = set()
        self._confirmed: set[str] = set()
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._to_subscribe: list[str] = []
        self._to_unsubscribe: list[str] = []
        self._again: set[str] = set()
        self._heard_at = 0.0
        self._probe: asyncio.Task[None] | None = None

    def listen(self, listener: Listener) -> None:
        """Say who hears the messages."""
        self._listener = listener

    def start(self) -> None:
        """Begin to connect."""
        self._calls.start()

    def probe_on(self, channel: str) -> None:
        """Use another channel for probes, because this server serves other slots now."""
        if channel != self._probe_channel:
            self._probe_channel = channel
            self._heard_at = asyncio.get_running_loop().time()
            connection = self._messages.connection
            if connection is not None and not connection.lost.done():
                self._send(connection, "SSUBSCRIBE", [channel])

    async def close(self) -> None:
        """Let go of everything."""
        if self._probe is not None:
            self._probe.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probe
        await self._calls.close()
        await self._messages.close()

    # --- Calls --------------------------------------------------------------------------------------------

    async def connection(self) -> Connection:
        """The connection for calls."""
        return await self._calls.ready()

    async def call(self, packed: bytes) -> Any:
        """One command and its reply."""
        return await (await self._calls.ready()).call(packed)

    # --- Subscriptions ------------------------------------------------------------------------------------

    @property
    def channels(self) -> frozenset[str]:
        """What is subscribed here, or about to be."""
        return frozenset(self._wanted)

    async def subscribe(self, channels: Sequence[str]) -> None:
        """Returns when the server confirmed them all; what several callers want at once goes out together."""
        loop = asyncio.get_running_loop()
        self._start_subscriber()
        waiting: list[asyncio.Future[None]] = []
        for channel in channels:
            if channel in self._confirmed and channel in self._wanted:
                continue
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.setdefault(channel, []).append(future)
            waiting.append(future)
            if channel not in self._wanted or channel in self._confirmed:
                self._wanted.add(channel)
                self._queue(self._to_subscribe, channel)
        if not waiting:
            return
        done, late = await asyncio.wait(waiting, timeout=self._timing.call_seconds)
        if late:  # if it was this loop that was held up, the answer is in the socket already
            done, late = await asyncio.wait(waiting, timeout=_CHECK_S)
        for future in late:
            future.cancel()
        if late or any(future.cancelled() for future in done):
            raise Unavailable(f"{self.address} does not confirm a subscription")

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """Stop to hear them."""
        for channel in channels:
            if channel in self._wanted:
                self._wanted.discard(channel)
                self._confirmed.discard(channel)
                self._queue(self._to_unsubscribe, channel)

    def _queue(self, queue: list[str], channel: str) -> None:
        if not self._to_subscribe and not self._to_unsubscribe:
            asyncio.get_running_loop().call_soon(self._send_queued)
        queue.append(channel)

    def _send_queued(self) -> None:
        connection = self._messages.connection
        leave = [channel for channel in self._to_unsubscribe if channel not in self._wanted]
        join = [channel for channel in self._to_subscribe if channel in self._wanted]
        self._to_subscribe.clear()
        self._to_unsubscribe.clear()
        if connection is None or connection.lost.done():
            return  # all that is wanted is subscribed when the connection opens
        self._send(connection, "SUNSUBSCRIBE", leave)
        self._send(connection, "SSUBSCRIBE", join)

    def _send(self, connection: Connection, verb: str, channels: Sequence[str]) -> None:
        for start in range(0, len(channels), self._channels_per_call):
            connection.send(pack((verb, *channels[start : start + self._channels_per_call])))

    def _start_subscriber(self) -> None:
        if self._probe is None:
            self._messages.start()
            self._probe = asyncio.get_running_loop().create_task(self._probe_forever())

    def _on_subscriber_open(self, connection: Connection) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._again = set(self._confirmed)
        self._confirmed.clear()
        self._send(connection, "SSUBSCRIBE", [self._probe_channel, *self._wanted])

    def _on_message(self, message: list[Any]) -> None:
        kind, channel = message[0], bytes(message[1] or b"").decode()
        if channel == self._probe_channel:
            self._heard_at = asyncio.get_running_loop().time()
        elif kind == b"smessage":
            if self._listener is not None and channel in self._wanted:
                self._listener.on_message(channel, message[2])
        elif kind == b"ssubscribe":
            self._confirm(channel)
        elif kind == b"sunsubscribe" and channel in self._wanted:
            self._drop_out(channel)

    def _confirm(self, channel: str) -> None:
        if channel in self._wanted:
            self._confirmed.add(channel)
        for future in self._waiters.pop(channel, ()):
            if not future.done():
                future.set_result(None)
        if channel in self._again:
            self._again.discard(channel)
            if self._listener is not None:
                self._listener.on_reset((channel,))

    def _drop_out(self, channel: str) -> None:
        """The server ended a subscription, because a slot moved: whoever wants it has to ask anew."""
        self._confirmed.discard(channel)
        self._again.add(channel)
        self._queue(self._to_subscribe, channel)

    async def _probe_forever(self) -> None:
        while True:
            probe = pack(("SPUBLISH", self._probe_channel, b"probe"))
            await asyncio.sleep(self._timing.probe_seconds)
            connection = self._messages.connection
            if connection is None or connection.lost.done():
                continue
            silent = asyncio.get_running_loop().time() - self._heard_at
            if silent > 2 * self._timing.probe_seconds + self._timing.call_seconds:
                connection.abort()
            else:
                connection.call(probe).add_done_callback(self._probed)

    def _probed(self, future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, ServerError):
            self._on_stray(str(error))
