"""One user's Socket.IO connection, whatever carries its bytes: who waits for what, and who hears of it.

    connection = streams.Connection(url, token)      # on asyncio; greenlets.Connection on gevent
    await connection.connect()
    answer = await connection.call("room:join", {})

What a load driver hears of events and of losses goes through an `Observer`.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

from loadtests.clients.conversation import Conversation, Fields
from loadtests.clients.machinery import Machinery, Promise
from loadtests.clients.polling import Polling
from loadtests.clients.rest import RestCalls

CONNECT_SECONDS = 15.0
CALL_SECONDS = 10.0
Answer = dict[str, Any]
Transport = Literal["websocket", "polling", "upgrade"]


class Refused(Exception):
    """The server refused the connection; `code` is the contract's, or the HTTP status line."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


class Lost(Exception):
    """The connection went away before the answer came."""


class Observer(Protocol):
    def on_event(self, connection: Any, name: str, body: Any, position: str | None) -> None: ...

    def on_lost(self, connection: Any, reason: str) -> None: ...


class Connection(ABC):
    """What the carriers have in common. Not for use by several tasks that reconnect at once."""

    machinery: ClassVar[Machinery]

    def __init__(
        self,
        url: str,
        token: str,
        observer: Observer | None = None,
        *,
        parser: str = "json",
        auth: Fields | None = None,
        entropy: random.Random | None = None,
        transport: Transport = "websocket",
        http: RestCalls | None = None,
    ):
        """`http` is for a transport that polls. It may be shared if it bounds no connections."""
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.auth = {"token": token} if auth is None else auth
        self.observer = observer
        self.conversation = Conversation(self, f"{self.host}:{self.port}", parser, entropy)
        self.wanted: Transport = transport
        self.http = http
        self.polling: Polling | None = None
        self.waiting: dict[int, Callable[[Answer | None], None]] = {}
        self.opening: Promise | None = None
        self.leaving = False

    @property
    def connected(self) -> bool:
        return self.conversation.connected

    async def connect(self, seconds: float = CONNECT_SECONDS) -> bool:
        """Open, or come back after a loss. -> whether the server recovered the session"""
        self.opening, self.leaving = self.machinery.promise(), False
        self.conversation.begin(self.auth, polls=self.wanted != "websocket")
        try:
            if self.wanted == "websocket":
                await self._dial(seconds)
            else:
                await self._poll().open()
            recovered = bool(await self.opening.outcome(seconds))
            if self.wanted == "upgrade" and self.polling is not None:
                await self.polling.upgrade(self._dial, seconds)
                self.polling = None
                self._write()
            return recovered
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
        promise = self.machinery.promise()

        def answered(answer: Answer | None) -> None:
            if notice is not None and answer is not None:
                notice(answer)
            promise.settle(answer)

        self.post(name, fields or {}, answered)
        answer: Answer | None = await promise.outcome(seconds)
        if answer is None:
            raise Lost("connection lost before the answer")
        return answer

    def leave(self) -> None:
        """Say goodbye for good."""
        self.leaving = True
        if self.polling is not None:
            self.conversation.farewell()
            self.polling.leave()
        elif self._is_open:
            self.conversation.farewell()
            self._write()
            self._close()

    def drop(self) -> None:
        """Cut the wire without a word, as a phone in a tunnel does."""
        polling, self.polling = self.polling, None
        if polling is not None:
            polling.close()
        self._cut()

    def _poll(self) -> Polling:
        if self.http is None:
            raise ValueError(f"a connection by {self.wanted} needs HTTP")
        self.polling = Polling(self.conversation, self.machinery, self.http)
        return self.polling

    def _flush(self) -> None:
        if self.polling is not None:
            self.polling.flush()
        self._write()

    @abstractmethod
    async def _dial(self, seconds: float) -> None:
        """Open a wire for what the conversation has to write."""

    @property
    @abstractmethod
    def _is_open(self) -> bool: ...

    @abstractmethod
    def _write(self) -> None:
        """Write what the conversation has for the wire."""

    @abstractmethod
    def _close(self) -> None:
        """End the wire once everything is written."""

    @abstractmethod
    def _cut(self) -> None: ...

    # Listener of the conversation
    def on_connected(self, recovered: bool) -> None:
        if self.opening is not None:
            self.opening.settle(recovered)

    def on_refused(self, data: Any) -> None:
        detail = data.get("data") if isinstance(data, dict) else None
        code = detail.get("code") if isinstance(detail, dict) else None
        if self.opening is not None:
            self.opening.fail(Refused(code or str(data)))
        self.leaving = True
        self.drop()

    def on_probed(self) -> None:
        if self.polling is not None and self.polling.probed is not None:
            self.polling.probed.settle(None)

    def on_event(self, name: str, body: Any, position: str | None) -> None:
        if self.observer is not None:
            self.observer.on_event(self, name, body, position)

    def on_ack(self, number: int, body: Any) -> None:
        on_answer = self.waiting.pop(number, None)
        if on_answer is not None:
            on_answer(body)

    def on_closed(self, reason: str) -> None:
        if self.opening is not None:
            self.opening.fail(Refused(reason))
        waiting, self.waiting = self.waiting, {}
        for on_answer in waiting.values():
            on_answer(None)
        if self.observer is not None and not self.leaving:
            self.observer.on_lost(self, reason)
        self.drop()
