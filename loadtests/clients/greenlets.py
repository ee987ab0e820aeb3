"""The machinery, the connection and REST on gevent, for locust users: every wait blocks its greenlet alone,
so the coroutines of a user never yield, and `finish` runs them to their end.

Import this module only in a process that gevent has patched (locust does so when it is imported).
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

import gevent
import requests
from gevent import socket
from gevent.event import AsyncResult

from loadtests.clients import connection
from loadtests.clients.frames import ProtocolError
from loadtests.clients.rest import Request, Response, RestCalls

READ_BYTES = 64 * 1024
Result = TypeVar("Result")


def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine whose waits are all of this module."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: Result = ended.value
        return result
    raise RuntimeError(f"{work} waits for something that is not gevent's")


class GeventPromise:
    def __init__(self) -> None:
        self.result: Any = AsyncResult()

    def settle(self, value: Any) -> None:
        if not self.result.ready():
            self.result.set(value)

    def fail(self, problem: Exception) -> None:
        if not self.result.ready():
            self.result.set_exception(problem)

    async def outcome(self, seconds: float) -> Any:
        try:
            return self.result.get(timeout=seconds)
        except gevent.Timeout as late:
            raise TimeoutError(f"nothing within {seconds:g} s") from late


class GeventTask:
    def __init__(self, work: Coroutine[Any, Any, None]):
        self.greenlet = gevent.spawn(finish, work)

    def cancel(self) -> None:
        self.greenlet.kill(block=False)

    async def wait(self, seconds: float) -> None:
        self.greenlet.join(timeout=seconds)


class Gevent:
    promise = GeventPromise
    start = GeventTask

    async def sleep(self, seconds: float) -> None:
        gevent.sleep(seconds)


class Connection(connection.Connection):
    """One reading greenlet per connection."""

    machinery = Gevent()
    socket: Any = None
    is_writing = False

    async def _dial(self, seconds: float) -> None:
        self.socket = socket.create_connection((self.host, self.port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(None)
        self._write()
        gevent.spawn(self._read, self.socket)

    @property
    def _is_open(self) -> bool:
        return self.socket is not None

    def _write(self) -> None:
        # A greenlet that waits to write takes along what others add meanwhile: frames must not mix.
        if self.is_writing:
            return
        self.is_writing = True
        try:
            while self.socket is not None and (data := self.conversation.take()):
                self.socket.sendall(data)
        except OSError as problem:
            self.conversation.lost(str(problem))
        finally:
            self.is_writing = False

    def _close(self) -> None:
        self._cut()

    def _cut(self) -> None:
        own, self.socket = self.socket, None
        if own is not None:
            own.close()
            self.conversation.lost("closed by client")

    def _read(self, own: Any) -> None:
        try:
            while data := own.recv(READ_BYTES):
                self.conversation.receive(data)
                if self.conversation.has_output:
                    self._flush()
        except (OSError, ProtocolError) as problem:
            reason = str(problem)
        else:
            reason = "transport closed"
        if self.socket is own:
            self.conversation.lost(reason)


class Rest(RestCalls):
    """REST over `requests`."""

    def __init__(self, url: str, service_key: str, timeout_seconds: float = 10):
        super().__init__(url, service_key, timeout_seconds)
        self.session = requests.Session()

    async def send(self, request: Request, seconds: float | None = None) -> Response:
        answer = self.session.request(
            request.method,
            self.url + request.path,
            data=request.data(),
            headers=request.headers(),
            timeout=seconds or self.timeout_seconds,
        )
        return Response.read(answer.status_code, answer.headers.get("content-type", ""), answer.content)
