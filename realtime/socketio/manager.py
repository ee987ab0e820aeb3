"""Rooms for python-socketio's own interface (`emit`, `enter_room`, ...), on the same member tables.

The product does not come this way: it holds its groups itself. What is kept here is the meaning that
applications written for python-socketio expect; what costs O(room) there costs nothing here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from socketio import AsyncManager
from socketio.packet import EVENT

from realtime.engine.limits import Limits
from realtime.engine.server import Engine
from realtime.socketio.connection import CONNECTED, Connection
from realtime.socketio.frames import Frames
from realtime.socketio.group import Fanout, Group

Rooms = dict[str | None, Group]


class Owner(Protocol):
    """The server, as its manager sees it."""

    limits: Limits
    eio: Engine


class Manager(AsyncManager):  # type: ignore[misc]  # python-socketio has no types
    server: Owner

    def __init__(self, fanout: Fanout) -> None:
        super().__init__()
        self._fanout = fanout
        self.clients: dict[str, dict[str, Connection]] = {}
        self._rooms: dict[str, Rooms] = {}
        self._entered: dict[Connection, set[str | None]] = {}
        self._last: Group | None = None  # where the last emit went

    # Membership.

    def add(self, client: Connection) -> None:
        self.clients.setdefault(client.namespace, {})[client.sid] = client
        self._entered[client] = set()
        self.enter(client, None)

    def remove(self, client: Connection) -> None:
        for room in list(self._entered.get(client, ())):
            self.leave(client, room)
        self._entered.pop(client, None)
        self.clients.get(client.namespace, {}).pop(client.sid, None)

    def enter(self, client: Connection, room: str | None) -> None:
        rooms = self._rooms.setdefault(client.namespace, {})
        if room not in rooms:
            rooms[room] = Group(self._fanout)
        rooms[room].add(client)
        self._entered[client].add(room)

    def leave(self, client: Connection, room: str | None) -> None:
        entered = self._entered.get(client)
        if entered is None or room not in entered:
            return
        entered.discard(room)
        rooms = self._rooms[client.namespace]
        group = rooms.get(room)  # gone already when all its members have gone
        if group is not None:
            group.remove(client)
            if not group:
                del rooms[room]

    # Sending.

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        **_options: Any,
    ) -> None:
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        packet = Frames.packet(EVENT, [event, *arguments], namespace, binary=True)
        skipped = {skip_sid} if isinstance(skip_sid, str) else set(skip_sid or ())
        target = to or room
        group = self._rooms.get(namespace, {}).get(target) if not isinstance(target, list) else None
        last, self._last = self._last, None
        if last is not None and last is not group and last.busy:
            last.flush()  # the order of two emits holds between rooms too
        if group is not None and not skipped and callback is None:
            group.send(packet)
            self._last = group
            return
        for client in self._chosen(namespace, target):
            if client.sid in skipped:
                continue
            if callback is not None:
                packet = Frames.packet(
                    EVENT, packet.data, namespace, self._ask(client, callback), binary=True
                )
            client.send(packet)

    def _chosen(self, namespace: str, target: Any) -> list[Connection]:
        names = target if isinstance(target, list | tuple | set) else (target,)
        clients, rooms = self.clients.get(namespace, {}), self._rooms.get(namespace, {})
        found: dict[Connection, None] = {}
        for name in names:
            if name in rooms:
                found.update(dict.fromkeys(self._inside(namespace, rooms[name])))
            elif name in clients:
                found[clients[name]] = None
        return list(found)

    @staticmethod
    def _inside(namespace: str, group: Group) -> Iterable[Connection]:
        for session in group.sessions():
            client = session.consumer.client(namespace)
            if client is not None:
                yield client

    def _ask(self, client: Connection, callback: Callable[..., Any]) -> int:
        client.next_ack_id += 1
        if client.acks is None:
            client.acks = {}
        if len(client.acks) >= self.server.limits.open_acks:
            del client.acks[next(iter(client.acks))]
        client.acks[client.next_ack_id] = callback
        return client.next_ack_id

    # What socketio.AsyncServer asks for.

    def get_namespaces(self) -> Iterable[str]:
        return self.clients.keys()

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        for client in self._chosen(namespace, room):
            yield client.sid, client.peer.session.sid

    def client(self, sid: str | None, namespace: str) -> Connection | None:
        return self.clients.get(namespace, {}).get(sid or "")

    def is_connected(self, sid: str, namespace: str) -> bool:
        client = self.client(sid, namespace)
        return client is not None and client.phase == CONNECTED

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        client = self.client(sid, namespace)
        return client.peer.session.sid if client is not None else None

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        session = self.server.eio.sockets.get(eio_sid)
        client = session.consumer.client(namespace) if session is not None else None
        return client.sid if client is not None else None

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        client = self.client(sid, namespace)
        return [sid, *filter(None, self._entered.get(client, ()))] if client is not None else []

    async def enter_room(self, sid: str, namespace: str, room: str, _eio_sid: str | None = None) -> None:
        client = self.client(sid, namespace)
        if client is None:
            raise ValueError("sid is not connected to requested namespace")
        self.enter(client, room)

    async def leave_room(self, sid: str, namespace: str, room: str) -> None:
        client = self.client(sid, namespace)
        if client is not None:
            self.leave(client, room)

    async def close_room(self, room: str, namespace: str) -> None:
        for client in self._chosen(namespace, room):
            self.leave(client, room)

    async def disconnect(self, sid: str, namespace: str, **_options: Any) -> None:
        client = self.client(sid, namespace)
        if client is not None:
            self.remove(client)


async def settled(result: Any) -> Any:
    """The result of a handler that may be a plain function or a coroutine."""
    return await result if inspect.isawaitable(result) else result
