"""A stand-in for the server: just enough of the contract for the load tools' own tests, and it can be told
to misbehave. Rooms are dictionaries; sockets are stock python-socketio.

`Faults` says how: refuse a command with a code, lose every n-th event, swallow an ack, shift a seat.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import socketio
from aiohttp import web

from realtime.tap import Tap, tap_routes

SERVICE_KEY = "double-key"
Fields = dict[str, Any]


@dataclass
class Faults:
    refuse: dict[str, str] = field(default_factory=dict)
    lose_every: int = 0
    slow_seconds: float = 0.0
    wrong_seats: bool = False
    silent: set[str] = field(default_factory=set)


@dataclass
class Room:
    settings: Fields
    owner_id: str
    seq: int = 0
    seats: list[Fields] = field(default_factory=list)
    chat: list[Fields] = field(default_factory=list)


class Double:
    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.rooms: dict[str, Room] = {}
        self.people: dict[str, tuple[str, Fields]] = {}
        self.coins: dict[str, int] = {}
        self.numbers = itertools.count(1)
        self.sockets: Any = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")
        self.tap = Tap()
        self.sockets.on("connect", self.connect)
        self.sockets.on("disconnect", self.disconnect)
        self.sockets.on("*", self.any_command)
        self.commands: dict[str, Callable[[Room, str, Fields, Fields], Awaitable[Fields | str]]] = {
            "room:leave": self.nothing,
            "sys:time": self.time,
            "chat:send": self.chat,
            "seat:take": self.take,
            "seat:leave": self.leave,
            "mic:set": self.mic,
            "gift:send": self.gift,
        }

    # REST
    def application(self) -> web.Application:
        application = web.Application()
        self.sockets.attach(application)
        application.add_routes(
            [
                web.get("/readyz", self.answer_nothing),
                web.get("/metrics", self.metrics),
                *tap_routes(self.tap, SERVICE_KEY.__eq__),
                web.post("/v1/rooms", self.make_room),
                web.get("/v1/rooms", self.list_rooms),
                web.post("/v1/rooms/{room}/commands", self.service_command),
                web.post("/v1/rooms/{room}/tokens", self.make_token),
                web.get("/v1/rooms/{room}/snapshot", self.show_room),
                web.get("/v1/gifts", self.answer_nothing),
                web.put("/v1/gifts/{gift}", self.answer_nothing),
                web.post("/v1/users/{user}/credits", self.credit),
                web.get("/v1/users/{user}/wallet", self.wallet),
            ]
        )
        return application

    @staticmethod
    def done(data: Any, status: int = 200) -> web.Response:
        return web.json_response(
            {"success": True, "message": "", "data": data, "timestamp": 0}, status=status
        )

    async def answer_nothing(self, _request: web.Request) -> web.Response:
        return self.done({"gifts": []})

    async def metrics(self, _request: web.Request) -> web.Response:
        usage = time.process_time()
        return web.Response(
            text=f"process_cpu_seconds_total {usage}\nprocess_resident_memory_bytes 1.5e+08\n"
        )

    async def make_room(self, request: web.Request) -> web.Response:
        body = await request.json()
        room_id, owner_id = body.pop("room_id"), body.pop("owner_id")
        seats = [
            {"index": index, "locked": False, "muted": False, "user": None, "mic": None, "away": False}
            for index in range(body.get("seat_count", 9))
        ]
        self.rooms[room_id] = Room(body, owner_id, seats=seats)
        return self.done({"room_id": room_id}, 201)

    async def list_rooms(self, _request: web.Request) -> web.Response:
        rooms = [{"room_id": room_id} for room_id in self.rooms]
        return self.done({"rooms": rooms, "next_cursor": None})

    async def service_command(self, request: web.Request) -> web.Response:
        body, room_id = await request.json(), request.match_info["room"]
        user_id = body.get("as_user", "")
        user = {"user_id": user_id, "name": user_id, "avatar": "", "role": "member"}
        command = self.commands[body["command"]]
        return self.done(await command(self.rooms[room_id], room_id, user, body["fields"]))

    async def make_token(self, request: web.Request) -> web.Response:
        body = await request.json()
        token = f"{request.match_info['room']} {body['user_id']} {body.get('role', 'member')}"
        return self.done({"token": token, "expires_at": 0, "socket_url": ""}, 201)

    async def show_room(self, request: web.Request) -> web.Response:
        return self.done(self.snapshot(request.match_info["room"]))

    async def credit(self, request: web.Request) -> web.Response:
        body, user_id = await request.json(), request.match_info["user"]
        self.coins[user_id] = self.coins.get(user_id, 0) + body["amount"]
        return self.done({})

    async def wallet(self, request: web.Request) -> web.Response:
        return self.done({"coins": self.coins.get(request.match_info["user"], 0), "diamonds": 0})

    def snapshot(self, room_id: str) -> Fields:
        room = self.rooms[room_id]
        seats = room.seats[::-1] if self.faults.wrong_seats else room.seats
        return {
            "room_id": room_id,
            "epoch": "e1",
            "seq": room.seq,
            "settings": room.settings,
            "owner_id": room.owner_id,
            "seats": seats,
            "chat": room.chat[-50:],
            "combos": [],
            "online": len(self.people),
        }

    # Sockets
    async def connect(self, sid: str, _environ: Fields, auth: Fields | None = None) -> bool:
        room_id, user_id, role = (auth or {}).get("token", "- - -").split(" ")
        if room_id not in self.rooms:
            return False
        self.people[sid] = (room_id, {"user_id": user_id, "name": user_id, "avatar": "", "role": role})
        self.tap.connect(sid, user_id, room_id, role)
        return True

    def disconnect(self, sid: str, reason: str) -> None:
        self.people.pop(sid, None)
        self.tap.disconnect(sid, reason)

    async def any_command(self, name: str, sid: str, fields: Fields) -> Fields:
        number = next(self.numbers)
        self.tap.command(sid, number, name, fields)
        answer = await self.answered(name, sid, fields)
        self.tap.ack(sid, number, answer)
        return answer

    async def answered(self, name: str, sid: str, fields: Fields) -> Fields:
        room_id, user = self.people[sid]
        if self.faults.slow_seconds:
            await asyncio.sleep(self.faults.slow_seconds)
        if name in self.faults.silent:
            await asyncio.Event().wait()
        if name in self.faults.refuse:
            return self.refused(self.faults.refuse[name])
        if name == "room:join":
            await self.sockets.enter_room(sid, room_id)
            room = self.rooms[room_id]
            joined = {"epoch": "e1", "seq": room.seq, "snapshot": self.snapshot(room_id), "resumed": False}
            return {"ok": True, "data": joined}
        command = self.commands.get(name)
        if command is None:
            return self.refused("PAYLOAD_INVALID")
        data = await command(self.rooms[room_id], room_id, user, fields)
        return self.refused(data) if isinstance(data, str) else {"ok": True, "data": data}

    @staticmethod
    def refused(code: str) -> Fields:
        return {"ok": False, "error": {"code": code, "message": code, "retry": "never"}}

    async def announce(self, room: Room, room_id: str, name: str, by: str, fields: Fields) -> None:
        room.seq += 1
        if self.faults.lose_every and room.seq % self.faults.lose_every == 0:
            return
        body = {"room_id": room_id, "seq": room.seq, "at": int(time.time() * 1000), "by": by, **fields}
        self.tap.room_event(room_id, name, body)
        await self.sockets.emit(name, (body, f"p{room.seq}"), room=room_id)

    async def nothing(self, _room: Room, _room_id: str, _user: Fields, _fields: Fields) -> Fields | str:
        return {}

    async def time(self, _room: Room, _room_id: str, _user: Fields, fields: Fields) -> Fields | str:
        return {"t0": fields["t0"], "t1": int(time.time() * 1000), "t2": int(time.time() * 1000)}

    async def chat(self, room: Room, room_id: str, user: Fields, fields: Fields) -> Fields | str:
        message = {
            "message_id": f"m{next(self.numbers)}",
            "user": user,
            "text": fields["text"],
            "kind": "text",
        }
        room.chat.append(message)
        await self.announce(room, room_id, "chat:message", user["user_id"], message)
        return {"message_id": message["message_id"], "seq": room.seq}

    async def take(self, room: Room, room_id: str, user: Fields, fields: Fields) -> Fields | str:
        free = [seat for seat in room.seats[1:] if seat["user"] is None]
        seat = room.seats[fields["index"]] if fields["index"] >= 0 else next(iter(free), None)
        if any(one["user"] and one["user"]["user_id"] == user["user_id"] for one in room.seats):
            return "ALREADY_SEATED"
        if seat is None or seat["user"] is not None:
            return "SEAT_OCCUPIED"
        seat["user"] = user
        seat["mic"] = {"self_muted": False, "admin_muted": False, "can_publish": True}
        await self.announce(
            room, room_id, "seat:changed", user["user_id"], {"cause": "take", "seats": [seat]}
        )
        return {"seat": seat}

    async def leave(self, room: Room, room_id: str, user: Fields, _fields: Fields) -> Fields | str:
        for seat in room.seats:
            if seat["user"] and seat["user"]["user_id"] == user["user_id"]:
                seat["user"] = seat["mic"] = None
                fields = {"cause": "leave", "seats": [seat]}
                await self.announce(room, room_id, "seat:changed", user["user_id"], fields)
                return {}
        return "NOT_SEATED"

    async def mic(self, _room: Room, _room_id: str, _user: Fields, fields: Fields) -> Fields | str:
        return {
            "mic": {"self_muted": fields["muted"], "admin_muted": False, "can_publish": not fields["muted"]}
        }

    async def gift(self, room: Room, room_id: str, user: Fields, fields: Fields) -> Fields | str:
        cost, user_id = 10 * fields["quantity"], user["user_id"]
        self.coins[user_id] = self.coins.get(user_id, 0) - cost
        transaction = f"t{next(self.numbers)}"
        sent = {"transaction_id": transaction, "total_cost": cost, "quantity": fields["quantity"]}
        await self.announce(room, room_id, "gift:sent", user_id, sent)
        return {
            "transaction_id": transaction,
            "replayed": False,
            "total_cost": cost,
            "balance": self.coins[user_id],
        }


@contextlib.asynccontextmanager
async def double(faults: Faults | None = None) -> AsyncIterator[str]:
    """The double, listening. -> its URL"""
    runner = web.AppRunner(Double(faults).application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
