"""One client: `Peer` is the Socket.IO side of its session, `Connection` its place in one namespace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from realtime.engine.parser import RESTART
from realtime.engine.session import Session
from realtime.socketio import frames as outgoing
from realtime.socketio.frames import Frames
from realtime.socketio.group import Group

if TYPE_CHECKING:
    from realtime.socketio.interface import Application
    from realtime.socketio.packets import Inbound

CONNECTING, CONNECTED, GONE = range(3)


class Peer:
    """Small, since there is one per idle client: what is rarely used is None until then."""

    __slots__ = (
        "clients",
        "groups",
        "inbox",
        "packed",
        "parser_known",
        "partial",
        "reason",
        "refusals",
        "session",
        "task",
    )

    def __init__(self, session: Session) -> None:
        self.session = session
        self.packed = self.parser_known = False
        self.clients: tuple[Connection, ...] = ()
        self.groups: tuple[Group, ...] = ()
        self.partial: Inbound | None = None
        self.inbox: deque[str | bytes] | None = None
        self.task: asyncio.Task[None] | None = None
        self.reason = ""
        self.refusals = 0

    def client(self, namespace: str) -> Connection | None:
        for client in self.clients:
            if client.namespace == namespace:
                return client
        return None

    def write(self, wire: bytes) -> None:
        """After what the rooms owe this client, so that the order of sending is the order of arrival."""
        for group in self.groups:
            if group.busy:
                wire = group.owed(self.session, self.packed) + wire
        self.session.post(wire)


class Connection:
    """What the application holds of a client. `state` belongs to the application until
    `on_disconnect` is over."""

    __slots__ = ("acks", "application", "namespace", "next_ack_id", "peer", "phase", "sid", "state")

    def __init__(self, peer: Peer, sid: str, namespace: str, application: Application) -> None:
        self.peer, self.sid, self.namespace, self.application = peer, sid, namespace, application
        self.phase = CONNECTING
        self.state: Any = None
        self.acks: dict[int, Callable[..., Any]] | None = None
        self.next_ack_id = 0

    @property
    def address(self) -> str:
        return self.peer.session.address

    @property
    def environ(self) -> dict[str, Any]:
        """A few CGI names of the handshake request (headers, query); empty after `on_connect`."""
        return self.peer.session.environ

    @property
    def closed(self) -> bool:
        return self.phase == GONE or self.peer.session.closed

    def send(self, frames: Frames) -> None:
        self.peer.write(frames.wire(self.peer.packed))

    def lossy(self, frames: Frames) -> None:
        """As `send`, but dropped when the client is behind."""
        if self.peer.session.healthy:
            self.send(frames)

    def acknowledge(self, ack_id: int | None, reply: object) -> None:
        """Answer a command of the main namespace; no effect without an id."""
        if ack_id is not None:
            self.peer.write(outgoing.reply_wire(ack_id, reply, self.peer.packed))

    def close(self, reason: str, *, resumable: bool) -> None:
        """Resumable: the transport just ends and clients come back by themselves; else DISCONNECT is sent."""
        session = self.peer.session
        if resumable:
            session.close(reason, RESTART)
            return
        if self.phase == CONNECTED:
            self.send(outgoing.disconnect(self.namespace))
        session.finish(reason)
