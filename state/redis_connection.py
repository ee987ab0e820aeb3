"""One connection to a server, speaking RESP3: calls are pipelined, messages come in between the replies.

Replies come in the order of the calls, so one late reply means that all are late: instead of a timer per
call, the owner asks now and then how long the oldest one waits.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import hiredis
from msgspec import Struct

from state.rejections import Unavailable
from state.server import ServerError, Value

OnMessage = Callable[[list[Any]], None]
OnStray = Callable[[str], None]
_NO_REPLY: Final = object()
_WINDOW_S: Final = 0.1
_BUSY_PER_S: Final = 500
_TOGETHER_S: Final = 0.002
_COMMANDS_WORTH_A_WAIT: Final = 2
_TRIED_AGAIN_AFTER_S: Final = 1.0


class Address(Struct, frozen=True):
    """Where a server is, and how to be let in."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str | None = None
    tls: bool = False
    username: str | None = None
    password: str | None = None
    database: int = 0

    def __repr__(self) -> str:
        return f"Address({self.path or f'{self.host}:{self.port}'})"


def address_of(url: str) -> Address:
    """The address in a URL: redis, rediss, valkey, valkeys, unix; `redis+cluster` names one node of many."""
    parts = urlsplit(url)
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if parts.scheme == "unix":
        return Address(path=unquote(parts.path), username=username, password=password)
    database = parts.path.lstrip("/")
    return Address(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 6379,
        tls=parts.scheme.startswith(("rediss", "valkeys")),
        username=username,
        password=password,
        database=int(database) if database else 0,
    )


def pack(command: Sequence[Value]) -> bytes:
    """A command as it goes over the wire."""
    words: tuple[Any, ...] = tuple(command)
    packed: bytes = hiredis.pack_command(words)
    return packed


class Pace:
    """How long to wait for more before sending. Each sending and each answer costs both sides a wake-up,
    whatever is in it: a quarter of what a busy node does. A quiet connection waits for nothing, and neither
    does one whose calls come one after the other's answer."""

    __slots__ = ("_began", "_commands", "_rests_until", "_sendings", "_waits")

    def __init__(self) -> None:
        self._began = self._rests_until = 0.0
        self._commands = self._sendings = 0
        self._waits = False

    def wait(self, now: float) -> float:
        """To be asked before each sending."""
        if now - self._began >= _WINDOW_S:
            self._look_back(now)
        return _TOGETHER_S if self._waits else 0.0

    def sent(self, commands: int) -> None:
        """So many went together."""
        self._sendings += 1
        self._commands += commands

    def _look_back(self, now: float) -> None:
        is_busy = self._commands > _BUSY_PER_S * (now - self._began)
        if self._waits and self._commands < _COMMANDS_WORTH_A_WAIT * self._sendings:
            self._waits, self._rests_until = False, now + _TRIED_AGAIN_AFTER_S
        else:
            self._waits = is_busy and now >= self._rests_until
        self._began, self._commands, self._sendings = now, 0, 0


class Connection(asyncio.Protocol):
    """A live connection. Once lost it stays lost; the owner makes another."""

    def __init__(self, on_message: OnMessage, on_stray: OnStray = lambda _error: None) -> None:
        self._on_stray = on_stray
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_NO_REPLY)
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._outgoing: list[bytes] = []
        self._pace = Pace()
        self._transport: asyncio.Transport | None = None
        self._on_message = on_message
        self.generation = ""
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has classes of its own

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the name is asyncio's)
        self.abort()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _NO_REPLY:
                if isinstance(reply, hiredis.PushNotification):
                    self._on_message(reply)
                else:
                    self._settle(reply)
        except hiredis.ProtocolError:
            self.abort()

    def _settle(self, reply: Any) -> None:
        if not self._waiting:
            # A subscription that is refused is answered by an error that no call waits for.
            self._on_stray(str(reply))
            self.abort()
            return
        future, _ = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(ServerError(str(reply)))
        else:
            future.set_result(reply)

    def call(self, packed: bytes) -> asyncio.Future[Any]:
        """Send a command; the future has its reply."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.lost.done():
            future.set_exception(Unavailable("the connection is lost"))
            return future
        self._waiting.append((future, self._loop.time()))
        self.send(packed)
        return future

    def send(self, packed: bytes) -> None:
        """Send a command that is answered by messages only. What one turn of the loop sends goes together, on
        a busy connection that of a few turns."""
        if not self._outgoing:
            wait = self._pace.wait(self._loop.time())
            if wait:
                self._loop.call_later(wait, self._flush)
            else:
                self._loop.call_soon(self._flush)
        self._outgoing.append(packed)

    def _flush(self) -> None:
        if self._transport is not None and not self.lost.done():
            self._transport.write(b"".join(self._outgoing))
        self._pace.sent(len(self._outgoing))
        self._outgoing.clear()

    def oldest_wait(self) -> float:
        """How long the oldest call has been waiting."""
        return self._loop.time() - self._waiting[0][1] if self._waiting else 0.0

    def abort(self) -> None:
        """Give the connection up; every open call fails."""
        if self.lost.done():
            return
        self.lost.set_result(None)
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(Unavailable("the connection was lost"))


async def connect(address: Address, on_message: OnMessage, on_stray: OnStray) -> Connection:
    """Open a connection, be let in, and learn which server process this is."""
    loop = asyncio.get_running_loop()

    def build() -> Connection:
        return Connection(on_message, on_stray)

    if address.path is not None:
        _, connection = await loop.create_unix_connection(build, address.path)
    else:
        context = ssl.create_default_context() if address.tls else None
        _, connection = await loop.create_connection(build, address.host, address.port, ssl=context)
    try:
        await _greet(connection, address)
    except BaseException:
        connection.abort()
        raise
    return connection


async def _greet(connection: Connection, address: Address) -> None:
    hello: list[Value] = ["HELLO", 3]
    if address.password is not None:
        hello += ["AUTH", address.username or "default", address.password]
    await connection.call(pack(hello))
    if address.database:
        await connection.call(pack(["SELECT", address.database]))
    information = await connection.call(pack(["INFO", "server"]))
    text = information if isinstance(information, str) else bytes(information).decode()
    for line in text.splitlines():
        if line.startswith("run_id:"):
            connection.generation = line.partition(":")[2].strip()
