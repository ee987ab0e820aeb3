"""An `Application` made of python-socketio handlers (`on`, `event`, namespaces)."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any, Protocol

from socketio.exceptions import ConnectionRefusedError as Refused

from realtime.socketio import frames as outgoing
from realtime.socketio.interface import Accept, Connection, Recovery, Refuse
from realtime.socketio.manager import Manager, settled


class Owner(Protocol):
    """What is used of python-socketio's `AsyncServer`."""

    manager: Manager
    not_handled: object

    def _get_event_handler(self, event: str, namespace: str, arguments: Any) -> Any: ...
    def _get_namespace_handler(self, namespace: str, arguments: Any) -> Any: ...


class Handlers:
    """As in the base class, but a handler that raises TypeError is not called again with fewer arguments."""

    def __init__(self, server: Owner) -> None:
        self._server = server

    async def on_connect(
        self, connection: Connection, auth: dict[str, Any], _recovery: Recovery | None
    ) -> Accept | Refuse:
        self._server.manager.add(connection)
        answer = await self._decide(connection, auth)
        if isinstance(answer, Refuse):
            self._server.manager.remove(connection)
        return answer

    async def _decide(self, connection: Connection, auth: dict[str, Any]) -> Accept | Refuse:
        try:
            answer = await self._call(
                "connect", connection, connection.sid, dict(connection.environ), auth or None
            )
        except Refused as refused:
            fields = refused.error_args
            return Refuse(fields.get("message", ""), fields.get("data"))
        return Accept() if answer is not False else Refuse("Connection rejected by server")

    def on_command(
        self, connection: Connection, name: str, arguments: list[Any], ack_id: int | None, _size_bytes: int
    ) -> Awaitable[None] | None:
        result = self._call(name, connection, connection.sid, *arguments)
        if inspect.isawaitable(result):
            return self._answer_later(connection, ack_id, result)
        self._answer(connection, ack_id, result)
        return None

    async def _answer_later(self, connection: Connection, ack_id: int | None, result: Awaitable[Any]) -> None:
        self._answer(connection, ack_id, await result)

    def _answer(self, connection: Connection, ack_id: int | None, result: Any) -> None:
        if ack_id is not None and result is not self._server.not_handled:
            arguments = [] if result is None else list(result) if isinstance(result, tuple) else [result]
            connection.send(outgoing.acknowledge(ack_id, arguments, connection.namespace, binary=True))

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        try:
            await settled(self._call("disconnect", connection, connection.sid, reason))
        finally:
            self._server.manager.remove(connection)

    def _call(self, event: str, connection: Connection, *arguments: Any) -> Any:
        """The handler's result: of a coroutine function an awaitable, else a value."""
        server, namespace = self._server, connection.namespace
        handler, found = server._get_event_handler(event, namespace, arguments)
        if handler is not None:
            return handler(*found)
        handler, found = server._get_namespace_handler(namespace, arguments)
        return handler.trigger_event(event, *found) if handler is not None else server.not_handled
