"""From whole Engine.IO messages to the application: parser, order, connect, disconnect.

Packets of one client are handled one at a time. What can be done at once is done within the transport's
callback; when the application returns an awaitable, a task carries it and then whatever came meanwhile, and
ends when the inbox is empty. So an idle client has no task, and a flood has one.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from socketio.packet import ACK, CONNECT, EVENT

from realtime.engine.reasons import BadPacket, Reason
from realtime.engine.server import Engine
from realtime.engine.session import Session
from realtime.socketio import frames as outgoing
from realtime.socketio import packets
from realtime.socketio.connection import CONNECTED, CONNECTING, GONE, Connection, Peer
from realtime.socketio.interface import Accept, Application, Recovery, Refuse

INVALID_NAMESPACE = {"message": "Invalid namespace"}
REFUSALS = 8  # foreign namespaces one client may try
NO_ENVIRON: dict[str, Any] = {}
logger = logging.getLogger(__name__)


class Dispatcher:
    """The engine's consumer."""

    def __init__(self, engine: Engine, application_of: Callable[[str], Application | None]) -> None:
        self.engine, self._application_of = engine, application_of
        self.connections: dict[str, Connection] = {}
        self._farewells: set[asyncio.Future[None]] = set()

    # What the engine tells.

    def on_open(self, session: Session) -> None:
        session.consumer = Peer(session)

    def on_message(self, session: Session, data: str | bytes) -> None:
        peer: Peer = session.consumer
        if peer.task is not None:
            if peer.inbox is None:
                peer.inbox = deque()
            peer.inbox.append(data)
            if len(peer.inbox) >= self.engine.limits.inbound_packets:
                session.pause_reading()
            return
        waiting = self._handle(peer, data)
        if waiting is not None:
            peer.task = asyncio.get_running_loop().create_task(self._pump(peer, waiting))

    def on_close(self, session: Session, reason: str) -> None:
        peer: Peer = session.consumer
        peer.reason, peer.partial, peer.inbox = reason, None, None
        for client in peer.clients:
            if self.connections.get(client.sid) is client:
                del self.connections[client.sid]
        if peer.task is None:  # else after what is being handled
            self._end(peer)

    # Order.

    async def _pump(self, peer: Peer, waiting: Awaitable[None] | None) -> None:
        session = peer.session
        while waiting is not None:
            try:
                await waiting
            except BadPacket:
                self.engine.broken(session)
            except Exception:
                logger.exception("handler of a packet failed")
            waiting = None
            while peer.inbox and waiting is None:
                try:
                    waiting = self._handle(peer, peer.inbox.popleft())
                except BadPacket:
                    self.engine.broken(session)
        peer.task = peer.inbox = None
        if session.closed:
            self._end(peer)
        else:
            session.resume_reading()

    # Packets.

    def _handle(self, peer: Peer, data: str | bytes) -> Awaitable[None] | None:
        packet = self._decode(peer, data)
        if packet is None:
            return None
        if packet.kind == CONNECT:
            return self._connect(peer, packet.namespace, packet.data)
        client = peer.client(packet.namespace)
        if client is None or client.phase != CONNECTED:
            if not peer.parser_known:
                raise BadPacket("not connected")
            return None  # a late packet for a namespace that was left
        if packet.kind == EVENT:
            try:
                return client.application.on_command(
                    client, packet.data[0], packet.data[1:], packet.ack_id, len(data)
                )
            except BadPacket:
                raise
            except Exception:
                logger.exception("handler of %r failed", packet.data[0][:64])
                return None
        if packet.kind == ACK:
            return _acknowledged(client, packet)
        self._leave(client)
        return None

    def _decode(self, peer: Peer, data: str | bytes) -> packets.Inbound | None:
        """The first packet of a client tells its parser; None while attachments are missing."""
        limits = self.engine.limits
        if not peer.parser_known:
            peer.packed = isinstance(data, bytes)
        if isinstance(data, str):
            if peer.packed or peer.partial is not None:
                raise BadPacket("unexpected text")
            packet = packets.decode_text(data, limits)
            if packet.missing:
                if peer.client(packet.namespace) is None:
                    raise BadPacket("attachments before CONNECT")
                peer.partial = packet
                return None
        elif peer.packed:
            packet = packets.decode_pack(data, limits)
        else:
            if peer.partial is None:
                raise BadPacket("unexpected binary")
            if not peer.partial.attach(data, limits):
                return None
            packet, peer.partial = peer.partial, None
        if not peer.parser_known and packet.kind != CONNECT:
            raise BadPacket("not connected")
        peer.parser_known = True
        return packet

    # Connecting.

    def _connect(self, peer: Peer, namespace: str, auth: dict[str, Any] | None) -> Awaitable[None] | None:
        if peer.client(namespace) is not None:
            raise BadPacket("connected twice")
        application = self._application_of(namespace)
        if application is None:
            peer.refusals += 1
            if peer.refusals > REFUSALS:
                raise BadPacket("too many namespaces")
            peer.write(outgoing.refuse(INVALID_NAMESPACE, namespace).wire(peer.packed))
            return None
        client = Connection(peer, self.engine.new_sid(), namespace, application)
        peer.clients = (*peer.clients, client)
        peer.session.hold()
        peer.session.connected()  # it has said who it is; from here on it is us that it waits for
        return self._decide(client, auth or {})

    async def _decide(self, client: Connection, auth: dict[str, Any]) -> None:
        """Between the return of `on_connect` and the last line nothing is awaited."""
        peer, session = client.peer, client.peer.session
        try:
            answer = await client.application.on_connect(client, auth, recovery_of(auth))
        except Exception:
            logger.exception("on_connect failed")
            answer = Refuse("Internal error", {"code": "INTERNAL"})
        if isinstance(answer, Refuse):
            self._forget(client)
            fields: dict[str, Any] = {"message": answer.message}
            if answer.data is not None:
                fields["data"] = dict(answer.data)
            session.release(outgoing.refuse(fields, client.namespace).wire(peer.packed))
            if not peer.clients:
                session.finish(Reason.SERVER_DISCONNECT)
            return
        client.phase = CONNECTED
        if session.closed:  # it has gone meanwhile; `_pump` ends it
            return
        client.sid = answer.sid or client.sid
        self.connections[client.sid] = client
        session.environ = NO_ENVIRON
        session.connected()
        session.release(self._welcome(client, answer))

    def _welcome(self, client: Connection, answer: Accept) -> bytes:
        packed = client.peer.packed
        hello = outgoing.connect(client.sid, answer.pid, client.namespace).wire(packed)
        return b"".join([*(frames.wire(packed) for frames in answer.replay), hello])

    # Leaving.

    def _leave(self, client: Connection) -> None:
        """The client left a namespace; its transport stays for a while."""
        self.gone(client, Reason.CLIENT_DISCONNECT)
        if not client.peer.clients:
            client.peer.session.expect_connect()

    def _end(self, peer: Peer) -> None:
        """The session is closed and nothing of it is being handled."""
        for client in peer.clients:
            if client.phase == CONNECTED:
                self.gone(client, peer.reason)
        peer.session.consumer = None  # ends the cycle of the two: both are freed as soon as nobody holds them

    def gone(self, client: Connection, reason: str) -> None:
        if client.phase == GONE:
            return
        connected, client.phase = client.phase != CONNECTING, GONE
        self._forget(client)
        if not connected:
            return
        try:
            waiting = client.application.on_disconnect(client, reason)
        except Exception:
            logger.exception("on_disconnect failed")
            waiting = None
        if waiting is None:
            client.state = (
                None  # what it holds tends to hold the connection: without this only the collector frees both
            )
            return
        task = asyncio.ensure_future(_farewell(client, waiting))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    def _forget(self, client: Connection) -> None:
        peer = client.peer
        if self.connections.get(client.sid) is client:
            del self.connections[client.sid]
        peer.clients = tuple(other for other in peer.clients if other is not client)
        if not peer.clients:
            for group in peer.groups:
                group.remove(client)


async def _farewell(client: Connection, waiting: Awaitable[None]) -> None:
    try:
        await waiting
    except Exception:
        logger.exception("on_disconnect failed")
    client.state = None


def _acknowledged(client: Connection, packet: packets.Inbound) -> Awaitable[None] | None:
    if client.acks is None:
        raise BadPacket("nobody asked for an ack")
    callback = client.acks.pop(packet.ack_id or 0, None)
    if callback is None:
        return None
    waiting = callback(*packet.data)
    return waiting if isinstance(waiting, Awaitable) else None


def recovery_of(auth: dict[str, Any]) -> Recovery | None:
    """What clients with connection state recovery add to their own auth."""
    pid, offset = auth.get("pid"), auth.get("offset")
    if not isinstance(pid, str):
        return None
    return Recovery(pid, offset if isinstance(offset, str) else None)
