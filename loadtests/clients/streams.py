"""The conversation on asyncio: one protocol object per user, no task per user, no queue per message.

    user = Connection(url, token)
    await user.connect()
    answer = await user.call("room:join", {})

`Connection` is meant to be subclassed or given an `Observer`: a load driver hears every event through it.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from loadtests.clients.conversation import Conversation, Fields
from loadtests.clients.frames import ProtocolError

CONNECT_SECONDS = 15.0
CALL_SECONDS = 10.0
Answer = dict[str, Any]


class Refused(Exception):
    """The server refused the connection; `code` is the contract's, or the HTTP status line."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


class Lost(Exception):
    """The connection went away before the answer came."""


class Observer(Protocol):
    def on_event(self, connection: "Connection", name: str, body: Any, position: str | None) -> None: ...

    def on_lost(self, connection: "Connection", reason: str) -> None: ...


class Connection(asyncio.Protocol):
    """One user's Socket.IO connection. Not for use from several tasks that reconnect at once."""

    def __init__(
        self,
        url: str,
        token: str,
        observer: Observer | None = None,
        *,
        parser: str = "json",
        auth: Fields | None = None,
        entropy: random.Random | None = None,
    ):
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.auth = {"token": token} if auth is None else auth
        self.observer = observer
        self.conversation = Conversation(self, f"{self.host}:{self.port}", parser, entropy)
        self.transport: asyncio.Transport | None = None
        self.waiting: dict[int, Callable[[Answer | None], None]] = {}
        self.opening: asyncio.Future[bool] | None = None
        self.leaving = False

    @property
    def connected(self) -> bool:
        return self.conversation.connected

    async def connect(self, seconds: float = CONNECT_SECONDS) -> bool:
        """Open, or come back after a loss. -> whether the server recovered the session"""
        loop = asyncio.get_running_loop()
        self.opening, self.leaving = loop.create_future(), False
        try:
            async with asyncio.timeout(seconds):
                await loop.create_connection(lambda: self, self.host, self.port)
                return await self.opening
        except TimeoutError:
            # What comes too late must not come at all.
            self.leaving = True
            self.drop()
            raise

    def post(
        self, name: str, fields: Fields, on_answer: Callable[[Answer | None], None] | None = None
    ) -> None:
        """Send a command now; `on_answer` hears the ack, or None when the connection is lost first."""
        number = self.conversation.command(name, fields)
        if on_answer is not None:
            self.waiting[number] = on_answer
        self._flush()

    async def call(
        self,
        name: str,
        fields: Fields | None = None,
        seconds: float = CALL_SECONDS,
        notice: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Send a command and wait for its ack. Refusals are values; a lost connection raises `Lost`.
        `notice` hears the ack at once, before any event that came in behind it."""
        if not self.connected:
            raise Lost("not connected")
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

        def answered(answer: Answer | None) -> None:
            if notice is not None and answer is not None:
                notice(answer)
            if not future.done():
                future.set_result(answer)

        self.post(name, fields or {}, answered)
        async with asyncio.timeout(seconds):
            answer = await future
        if answer is None:
            raise Lost("connection lost before the answer")
        return answer

    def leave(self) -> None:
        """Say goodbye for good."""
        self.leaving = True
        if self.transport is not None and not self.transport.is_closing():
            self.conversation.farewell()
            self._flush()
            self.transport.close()

    def drop(self) -> None:
        """Cut the wire without a word, as a phone in a tunnel does."""
        if self.transport is not None:
            self.transport.abort()

    def _flush(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(self.conversation.take())

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.conversation.begin(self.auth)
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            self.conversation.receive(data)
        except ProtocolError as problem:
            self.conversation.lost(f"protocol error: {problem}")
            self.drop()
            return
        if self.conversation.outbox:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.conversation.lost(str(exc) if exc else "transport closed")

    # Listener
    def on_connected(self, recovered: bool) -> None:
        if self.opening is not None and not self.opening.done():
            self.opening.set_result(recovered)

    def on_refused(self, data: Any) -> None:
        if self.opening is not None and not self.opening.done():
            detail = data.get("data") if isinstance(data, dict) else None
            code = detail.get("code") if isinstance(detail, dict) else None
            self.opening.set_exception(Refused(code or str(data)))
        self.leaving = True
        self.drop()

    def on_event(self, name: str, body: Any, position: str | None) -> None:
        if self.observer is not None:
            self.observer.on_event(self, name, body, position)

    def on_ack(self, number: int, body: Any) -> None:
        on_answer = self.waiting.pop(number, None)
        if on_answer is not None:
            on_answer(body)

    def on_closed(self, reason: str) -> None:
        if self.opening is not None and not self.opening.done():
            self.opening.set_exception(Refused(reason))
        waiting, self.waiting = self.waiting, {}
        for on_answer in waiting.values():
            on_answer(None)
        if self.observer is not None and not self.leaving:
            self.observer.on_lost(self, reason)
        if self.transport is not None:
            self.transport.abort()
