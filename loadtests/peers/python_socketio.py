"""Stock python-socketio on aiohttp with uvloop: the room server one writes in Python today, as a peer.

    python -m loadtests.peers.python_socketio PORT

Same commands and control endpoints as the Node peer: /healthz, /collect, /fan?room=R&burst=B.
"""

import asyncio
import gc
import sys
import time
from typing import Any

import socketio
import uvloop
from aiohttp import web

TOKEN = "peer"
SEATS = 9
EVENT = {
    "user": {"user_id": "user-1234567", "name": "user-name", "avatar": "", "role": "member"},
    "text": "hello everyone in the room",
    "kind": "text",
}
Fields = dict[str, Any]


def refused(code: str) -> Fields:
    return {"ok": False, "error": {"code": code, "message": code, "retry": "never"}}


def done(data: Fields | None = None) -> Fields:
    return {"ok": True, "data": data or {}}


class Peer:
    """Rooms in dictionaries, one handler per command, every event sent with `emit(room=...)`."""

    def __init__(self) -> None:
        self.server: Any = socketio.AsyncServer(
            async_mode="aiohttp",
            cors_allowed_origins="*",
            http_compression=False,
            ping_interval=10,
            ping_timeout=8,
        )
        self.rooms: dict[str, Fields] = {}
        self.users: dict[str, tuple[str, Fields]] = {}
        self.server.on("connect", self.connect)
        self.server.on("disconnect", self.disconnect)
        for name in ("room:join", "sys:time", "seat:take", "seat:leave", "chat:send"):
            self.server.on(name, getattr(self, name.replace(":", "_")))

    def room(self, room_id: str) -> Fields:
        seats = [{"index": index, "locked": False, "muted": False, "user": None} for index in range(SEATS)]
        return self.rooms.setdefault(room_id, {"seq": 0, "seats": seats, "chat": [], "online": 0})

    async def announce(self, room_id: str, name: str, by: str | None, fields: Fields) -> None:
        room = self.room(room_id)
        room["seq"] += 1
        body = {"room_id": room_id, "seq": room["seq"], "at": int(time.time() * 1000), "by": by, **fields}
        await self.server.emit(name, body, room=room_id)

    async def connect(self, sid: str, _environ: Fields, auth: Fields | None = None) -> bool:
        auth = auth or {}
        if auth.get("token") != TOKEN:
            return False
        user = {"user_id": auth["user_id"], "name": auth["user_id"], "avatar": "", "role": "member"}
        self.users[sid] = (auth["room_id"], user)
        return True

    def disconnect(self, sid: str, *_reason: str) -> None:
        self.users.pop(sid, None)

    async def room_join(self, sid: str, _fields: Fields) -> Fields:
        room_id, _user = self.users[sid]
        await self.server.enter_room(sid, room_id)
        room = self.room(room_id)
        room["online"] += 1
        snapshot = {
            "room_id": room_id,
            "seats": room["seats"],
            "chat": room["chat"],
            "online": room["online"],
        }
        return done({"epoch": "e1", "seq": room["seq"], "resumed": False, "snapshot": snapshot})

    async def sys_time(self, _sid: str, fields: Fields) -> Fields:
        now = int(time.time() * 1000)
        return done({"t0": fields["t0"], "t1": now, "t2": now})

    async def seat_take(self, sid: str, fields: Fields) -> Fields:
        room_id, user = self.users[sid]
        seats = self.room(room_id)["seats"]
        index = fields["index"]
        seat = next((one for one in seats if not one["user"]), None) if index < 0 else seats[index]
        if seat is None or seat["user"]:
            return refused("SEAT_OCCUPIED")
        seat["user"] = user
        await self.announce(room_id, "seat:changed", user["user_id"], {"cause": "take", "seats": [seat]})
        return done({"seat": seat})

    async def seat_leave(self, sid: str, _fields: Fields) -> Fields:
        room_id, user = self.users[sid]
        seat = next((one for one in self.room(room_id)["seats"] if one["user"] == user), None)
        if seat is None:
            return refused("NOT_SEATED")
        seat["user"] = None
        await self.announce(room_id, "seat:changed", user["user_id"], {"cause": "leave", "seats": [seat]})
        return done()

    async def chat_send(self, sid: str, fields: Fields) -> Fields:
        room_id, user = self.users[sid]
        room = self.room(room_id)
        message = {"message_id": f"m{room['seq'] + 1}", "user": user, "text": fields["text"], "kind": "text"}
        room["chat"] = [*room["chat"], message][-50:]
        await self.announce(room_id, "chat:message", user["user_id"], message)
        return done({"message_id": message["message_id"], "seq": room["seq"]})

    async def fan(self, request: web.Request) -> web.Response:
        for _ in range(int(request.query.get("burst", "1"))):
            await self.announce(request.query["room"], "chat:message", None, EVENT)
        return web.Response(text="ok")


async def collect(_request: web.Request) -> web.Response:
    gc.collect()
    return web.Response(text="ok")


async def serve(port: int) -> None:
    peer, application = Peer(), web.Application()
    peer.server.attach(application)
    application.router.add_get("/fan", peer.fan)
    application.router.add_get("/healthz", collect)
    application.router.add_get("/collect", collect)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
