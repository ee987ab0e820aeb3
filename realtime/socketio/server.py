"""The Socket.IO server: python-socketio's `AsyncServer` above, our Engine.IO below, joined at its seams.

With `application` the default namespace belongs to the product (see `interface`): its packets go straight
there. Handlers that are registered as in python-socketio serve the other namespaces, or all of them without
one.

Seams used of python-socketio: `_engineio_server_class`, `client_manager`, `_get_event_handler`,
`_get_namespace_handler` and `_send_packet`. They are private, so the versions are pinned and the conformance
run guards each upgrade. `AsyncRedisManager`, `instrument()` and JSONP have no place here.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from socketio.packet import CONNECT_ERROR

from realtime.engine.limits import Limits
from realtime.engine.lines import SendEach, each_for_itself
from realtime.engine.reasons import Reason
from realtime.engine.server import Engine, Stray
from realtime.socketio import frames as outgoing
from realtime.socketio.connection import Connection
from realtime.socketio.dispatch import Dispatcher
from realtime.socketio.frames import BINARY_OFFSET, Frames
from realtime.socketio.group import Fanout, Group
from realtime.socketio.handlers import Handlers
from realtime.socketio.interface import Application
from realtime.socketio.manager import Manager
from realtime.stock import socketio


class Server(socketio.AsyncServer):  # type: ignore[misc]  # python-socketio has no types
    eio: Engine
    manager: Manager

    def __init__(
        self,
        *,
        application: Application | None = None,
        limits: Limits | None = None,
        origins: Any = None,
        new_sid: Callable[[], str] | None = None,
        stray: Stray | None = None,
        trusted_proxies: tuple[str, ...] = (),
        send_each: SendEach = each_for_itself,
        **options: Any,
    ) -> None:
        self.limits = limits or Limits()
        self._engine_class = functools.partial(
            Engine, limits=self.limits, new_sid=new_sid, stray=stray, trusted_proxies=trusted_proxies
        )
        self.fanout = Fanout(send_each)
        super().__init__(client_manager=Manager(self.fanout), cors_allowed_origins=origins, **options)
        self._application, self._handlers = application, Handlers(self)
        self.dispatcher = Dispatcher(self.eio, self._application_of)
        self.eio.consumer = self.dispatcher
        self.fanout.corks = self.eio.corks

    def _engineio_server_class(self) -> Callable[..., Engine]:
        return self._engine_class

    def _application_of(self, namespace: str) -> Application | None:
        if namespace == "/" and self._application is not None:
            return self._application
        known = namespace in self.handlers or namespace in self.namespace_handlers
        if known or self.namespaces == "*" or "*" in self.handlers or "*" in self.namespace_handlers:
            return self._handlers
        return None

    # The product's side.

    @property
    def connections(self) -> Mapping[str, Connection]:
        """By sid: every connection that was accepted and not yet closed."""
        return self.dispatcher.connections

    def group(self) -> Group:
        return Group(self.fanout)

    async def drain(self, reason: str, *, batch: int, pause_seconds: float) -> None:
        await self.eio.drain(reason, batch=batch, pause_seconds=pause_seconds)

    # python-socketio's side.

    async def disconnect(self, sid: str, namespace: str | None = None, _ignore_queue: bool = False) -> None:
        client = self.manager.client(sid, namespace or "/")
        if client is None:
            return
        client.send(outgoing.disconnect(client.namespace))
        self.dispatcher.gone(client, Reason.SERVER_DISCONNECT)
        if not client.peer.clients:
            client.peer.session.finish(Reason.SERVER_DISCONNECT)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        session = self.eio.sockets.get(eio_sid)
        if session is not None:
            kind = pkt.packet_type - BINARY_OFFSET if pkt.packet_type > CONNECT_ERROR else pkt.packet_type
            packet = Frames.packet(kind, pkt.data, pkt.namespace or "/", pkt.id, binary=True)
            session.consumer.write(packet.wire(session.consumer.packed))
