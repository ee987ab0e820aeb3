"""A small product with connection state recovery in memory, for real clients to be tried against.

One counter numbers all events; a room and a person have logs of them. It is what the real gateway does with
Redis, in the least code that keeps the promises of the port.
"""

import asyncio
import secrets
from collections import defaultdict
from typing import Any

from aiohttp import web

from realtime.engine.reasons import resumable
from realtime.socketio.frames import Frames
from realtime.socketio.interface import Accept, Connection, Group, Recovery, Refuse
from realtime.socketio.server import Server

WINDOW = 200  # events a log keeps


class Saved:
    """A client that is here or may come back."""

    def __init__(self, sid: str, pid: str, start: int) -> None:
        self.sid, self.pid, self.start = sid, pid, start
        self.rooms: dict[str, int] = {}  # name -> number of the event before the join
        self.connection: Connection | None = None


class Recovering:
    def __init__(self) -> None:
        self.server: Server | None = None
        self.epoch, self.number = secrets.token_hex(3), 0
        self.saved: dict[str, Saved] = {}
        self.logs: dict[str, list[tuple[int, Frames]]] = defaultdict(list)
        self.groups: dict[str, Group] = {}
        self.banned: set[str] = set()
        self.log: list[tuple[str, ...]] = []

    def group(self, name: str) -> Group:
        assert self.server is not None
        if name not in self.groups:
            self.groups[name] = self.server.group()
        return self.groups[name]

    # The port.

    async def on_connect(
        self, connection: Connection, auth: dict[str, Any], recovery: Recovery | None
    ) -> Accept | Refuse:
        await asyncio.sleep(0.01)  # a look-up
        if auth.get("user") in self.banned:
            return Refuse("banned")
        found = self._find(recovery) if recovery is not None else None
        if found is None:
            saved = Saved(connection.sid, secrets.token_urlsafe(18), self.number)
            self.saved[saved.pid] = saved
            connection.state, saved.connection = saved, connection
            self.enter(connection, "r")
            return Accept(sid=saved.sid, pid=saved.pid)
        saved, position = found
        replay = self._missed(saved, position)
        if saved.connection is not None:  # half-open: its socket has not noticed yet
            saved.connection.state = None
            saved.connection.close("resumed elsewhere", resumable=True)
        connection.state, saved.connection = saved, connection
        for name in saved.rooms:
            self.group(name).add(connection)
        self.log.append(("recovered", saved.sid))
        return Accept(sid=saved.sid, pid=saved.pid, replay=replay)

    def _find(self, recovery: Recovery) -> tuple[Saved, int] | None:
        saved = self.saved.get(recovery.pid)
        if saved is None:
            return None
        epoch, _, number = (recovery.offset or f"{self.epoch}:{saved.start}").partition(":")
        if epoch != self.epoch or not number.isdigit() or int(number) > self.number:
            return None
        for name in (*saved.rooms, saved.sid):
            log = self.logs[name]
            if len(log) == WINDOW and log[0][0] > int(number) + 1:
                return None
        return saved, int(number)

    def _missed(self, saved: Saved, position: int) -> list[Frames]:
        found = {number: frames for number, frames in self.logs[saved.sid] if number > position}
        for name, joined in saved.rooms.items():
            found |= {number: frames for number, frames in self.logs[name] if number > max(position, joined)}
        return [found[number] for number in sorted(found)]

    def on_command(
        self, connection: Connection, name: str, arguments: list[Any], ack_id: int | None, size_bytes: int
    ) -> Any:
        if name == "echo":
            connection.acknowledge(ack_id, arguments[0])
        elif name == "move":
            self.leave(connection, arguments[0])
            self.enter(connection, arguments[1])
            connection.acknowledge(ack_id, "moved")
        elif name == "count":
            return self._count(connection, arguments[0])
        return None

    async def _count(self, connection: Connection, number: int) -> None:
        """Takes longer for some: the order must not depend on it."""
        await asyncio.sleep(0.002 if number % 7 == 0 else 0)
        connection.send(Frames("counted", {"n": number}))

    def on_disconnect(self, connection: Connection, reason: str) -> None:
        saved: Saved | None = connection.state
        self.log.append(("disconnect", connection.sid, reason))
        if saved is not None and saved.connection is connection:
            saved.connection = None
            if not resumable(reason) or reason == "kicked":
                del self.saved[saved.pid]

    # What tests make happen.

    def enter(self, connection: Connection, name: str) -> None:
        connection.state.rooms[name] = self.number
        self.group(name).add(connection)

    def leave(self, connection: Connection, name: str) -> None:
        del connection.state.rooms[name]
        self.group(name).remove(connection)

    def _next(self, name: str, event: str, body: dict[str, Any]) -> Frames:
        self.number += 1
        frames = Frames(event, body, f"{self.epoch}:{self.number}")
        self.logs[name] = [*self.logs[name], (self.number, frames)][-WINDOW:]
        return frames

    def publish(self, name: str, number: int) -> None:
        self.group(name).send(self._next(name, "chat", {"n": number}))

    async def control(self, request: web.Request) -> web.Response:
        assert self.server is not None
        query, action = request.query, request.match_info["action"]
        connection = self.server.connections.get(query.get("sid", ""))
        if action == "publish":
            for number in range(int(query["from"]), int(query["to"])):
                self.publish(query.get("room", "r"), number)
        elif action == "lossy":
            self.group("r").send_lossy(Frames("chat", {"n": int(query["n"])}))
        elif action == "personal":
            frames = self._next(query["sid"], "personal", {"n": int(query["n"])})
            if connection is not None:
                connection.send(frames)
        elif action == "cut" and connection is not None:
            connection.peer.session.abort("transport error")
        elif action == "kick" and connection is not None:
            connection.close("kicked", resumable=False)
        elif action == "ban":
            self.banned.add(query["user"])
        return web.json_response({"log": self.log, "sessions": len(self.server.eio.sockets)})
