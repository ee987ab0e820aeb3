"""The conversation on gevent, for locust users: one reading greenlet per connection.

Import this module only in a process that gevent has patched (locust does so when it is imported).
"""

import random
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import gevent
from gevent import socket
from gevent.event import AsyncResult

from loadtests.clients.conversation import Conversation, Fields
from loadtests.clients.frames import ProtocolError
from loadtests.clients.streams import CALL_SECONDS, CONNECT_SECONDS, Answer, Lost, Refused

READ_BYTES = 64 * 1024


class Observer(Protocol):
    def on_event(self, connection: "Connection", name: str, body: Any, position: str | None) -> None: ...

    def on_lost(self, connection: "Connection", reason: str) -> None: ...


class Connection:
    """One user's Socket.IO connection with blocking calls that only block their greenlet."""

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
        self.socket: Any = None
        self.waiting: dict[int, Callable[[Answer | None], None]] = {}
        self.opening: Any = None
        self.leaving = False

    @property
    def connected(self) -> bool:
        return self.conversation.connected

    def connect(self, seconds: float = CONNECT_SECONDS) -> bool:
        """Open, or come back after a loss. -> whether the server recovered the session"""
        self.opening, self.leaving = AsyncResult(), False
        self.socket = socket.create_connection((self.host, self.port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(None)
        self.conversation.begin(self.auth)
        self._flush()
        gevent.spawn(self._read, self.socket)
        return bool(self.opening.get(timeout=seconds))

    def post(
        self, name: str, fields: Fields, on_answer: Callable[[Answer | None], None] | None = None
    ) -> None:
        number = self.conversation.command(name, fields)
        if on_answer is not None:
            self.waiting[number] = on_answer
        self._flush()

    def call(
        self,
        name: str,
        fields: Fields | None = None,
        seconds: float = CALL_SECONDS,
        notice: Callable[[Answer], None] | None = None,
    ) -> Answer:
        if not self.connected:
            raise Lost("not connected")
        result: Any = AsyncResult()

        def answered(answer: Answer | None) -> None:
            if notice is not None and answer is not None:
                notice(answer)
            result.set(answer)

        self.post(name, fields or {}, answered)
        try:
            answer: Answer | None = result.get(timeout=seconds)
        except gevent.Timeout as late:
            raise TimeoutError(name) from late
        if answer is None:
            raise Lost("connection lost before the answer")
        return answer

    def leave(self) -> None:
        self.leaving = True
        if self.socket is not None and self.connected:
            self.conversation.farewell()
            self._flush()
        self._close()

    def drop(self) -> None:
        self._close()

    def _close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.conversation.lost("closed by client")

    def _flush(self) -> None:
        data = self.conversation.take()
        if self.socket is not None and data:
            self.socket.sendall(data)

    def _read(self, own: Any) -> None:
        try:
            while data := own.recv(READ_BYTES):
                self.conversation.receive(data)
                if self.conversation.outbox:
                    self._flush()
        except (OSError, ProtocolError) as problem:
            reason = str(problem)
        else:
            reason = "transport closed"
        if self.socket is own:
            self.conversation.lost(reason)
            self._close()

    # Listener
    def on_connected(self, recovered: bool) -> None:
        if self.opening is not None and not self.opening.ready():
            self.opening.set(recovered)

    def on_refused(self, data: Any) -> None:
        detail = data.get("data") if isinstance(data, dict) else None
        code = detail.get("code") if isinstance(detail, dict) else None
        self.leaving = True
        if self.opening is not None and not self.opening.ready():
            self.opening.set_exception(Refused(code or str(data)))

    def on_event(self, name: str, body: Any, position: str | None) -> None:
        if self.observer is not None:
            self.observer.on_event(self, name, body, position)

    def on_ack(self, number: int, body: Any) -> None:
        on_answer = self.waiting.pop(number, None)
        if on_answer is not None:
            on_answer(body)

    def on_closed(self, reason: str) -> None:
        if self.opening is not None and not self.opening.ready():
            self.opening.set_exception(Refused(reason))
        waiting, self.waiting = self.waiting, {}
        for on_answer in waiting.values():
            on_answer(None)
        if self.observer is not None and not self.leaving:
            self.observer.on_lost(self, reason)
