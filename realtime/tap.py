"""A tap on this node's traffic, for `flylive record`.

The gateway tells the tap what passes: connects, commands, acks, room events (once per room, not once per
listener) and disconnects. While nobody listens each call is one look at an empty list. A listener is an
operator with a service key, on a WebSocket at `GET /v1/tap?room=ID`; it gets JSON lines in batches.

Secrets never enter the tap: tokens and passwords are struck out here. Whoever reads too slowly is cut off
with a last line that says so; the node never waits for a reader.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

FLUSH_SECONDS = 0.05
# A listener may be this far behind: a few seconds of a busy node.
BACKLOG_LINES = 50_000
SECRET_FIELDS = frozenset({"token", "password"})
STRUCK_OUT = "***"
_ENCODER = msgspec.json.Encoder()


class Listener:
    """One operator's view: the rooms asked for (all when empty) and the lines that wait to be sent."""

    def __init__(self, rooms: frozenset[str]) -> None:
        self.rooms = rooms
        self.lines: deque[bytes] = deque()
        self.ready = asyncio.Event()
        self.overflowed = False

    def put(self, room_id: str, line: bytes) -> None:
        if self.overflowed or (self.rooms and room_id not in self.rooms):
            return
        if len(self.lines) >= BACKLOG_LINES:
            self.overflowed = True
            self.lines.clear()
            line = _ENCODER.encode({"k": "overflow"})
        self.lines.append(line)
        self.ready.set()


class Tap:
    """What the gateway calls. Client ids are those of connections; bodies may be ready-made JSON."""

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.now_ms = now_ms
        self.listeners: list[Listener] = []
        # client id: what its connect said; kept always, so that a listener learns who is already here.
        self.clients: dict[str, tuple[str, str, str]] = {}

    def connect(self, client_id: str, user_id: str, room_id: str, role: str) -> None:
        self.clients[client_id] = (user_id, room_id, role)
        if self.listeners:
            self._say(room_id, {"k": "connect", "c": client_id, "u": user_id, "r": room_id, "role": role})

    def command(self, client_id: str, ack_id: int | None, name: str, fields: Any) -> None:
        if self.listeners and (client := self.clients.get(client_id)):
            self._say(
                client[1],
                {"k": "command", "c": client_id, "i": ack_id, "e": name, "a": without_secrets(fields)},
            )

    def ack(self, client_id: str, ack_id: int | None, body: Mapping[str, Any] | bytes) -> None:
        if self.listeners and (client := self.clients.get(client_id)):
            self._say(client[1], {"k": "ack", "c": client_id, "i": ack_id, "b": _plain(body)})

    def room_event(self, room_id: str, name: str, body: Mapping[str, Any] | bytes) -> None:
        if self.listeners:
            self._say(room_id, {"k": "event", "r": room_id, "e": name, "b": _plain(body)})

    def event(self, client_id: str, name: str, body: Mapping[str, Any] | bytes) -> None:
        """An event to one client alone."""
        if self.listeners and (client := self.clients.get(client_id)):
            self._say(client[1], {"k": "event", "c": client_id, "e": name, "b": _plain(body)})

    def disconnect(self, client_id: str, reason: str) -> None:
        client = self.clients.pop(client_id, None)
        if self.listeners and client is not None:
            self._say(client[1], {"k": "disconnect", "c": client_id, "why": reason})

    def _say(self, room_id: str, line: dict[str, Any]) -> None:
        line["at"] = self.now_ms()
        encoded = _ENCODER.encode(line)
        for listener in self.listeners:
            listener.put(room_id, encoded)

    def listen(self, rooms: frozenset[str]) -> Listener:
        """From now on; the first lines say who is already connected."""
        listener = Listener(rooms)
        for client_id, (user_id, room_id, role) in self.clients.items():
            line = {
                "k": "connect",
                "c": client_id,
                "u": user_id,
                "r": room_id,
                "role": role,
                "standing": True,
            }
            listener.put(room_id, _ENCODER.encode({**line, "at": self.now_ms()}))
        self.listeners.append(listener)
        return listener


def without_secrets(fields: Any) -> Any:
    if not isinstance(fields, dict) or not SECRET_FIELDS & fields.keys():
        return fields
    return {key: STRUCK_OUT if key in SECRET_FIELDS else value for key, value in fields.items()}


def _plain(body: Mapping[str, Any] | bytes) -> Any:
    return msgspec.Raw(body) if isinstance(body, bytes) else body


def tap_routes(tap: Tap, is_allowed: Callable[[str], bool]) -> list[web.RouteDef]:
    """`is_allowed` says of a bearer key whether it may listen to everything that passes."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not is_allowed(key):
            raise web.HTTPUnauthorized(text="a service key is needed to listen")
        socket = web.WebSocketResponse(heartbeat=20, compress=False)
        await socket.prepare(request)
        listener = tap.listen(frozenset(request.query.getall("room", [])))
        sending = asyncio.create_task(_send(socket, listener))
        try:
            # Nothing is expected from the operator but the close.
            async for _ in socket:
                pass
        finally:
            tap.listeners.remove(listener)
            sending.cancel()
        return socket

    return [web.get("/v1/tap", serve)]


async def _send(socket: web.WebSocketResponse, listener: Listener) -> None:
    while True:
        await listener.ready.wait()
        await asyncio.sleep(FLUSH_SECONDS)
        listener.ready.clear()
        batch = list(listener.lines)
        listener.lines.clear()
        await socket.send_bytes(b"\n".join(batch))
        if listener.overflowed:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too slow")
            return
