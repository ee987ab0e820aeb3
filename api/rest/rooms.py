"""Rooms for backends: make, list, change, close, look into, and act in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, structs

from api.rest.calls import Call
from api.rest.replies import Reply
from api.rest.shapes import Events, Performed, RoomList, RoomShown, Transports
from state.audience import Audience
from state.commands import RoomClose, RoomUpdate
from state.directory import Directory
from state.events import Settings
from state.identity import SYSTEM, Actor
from state.media_commands import RtcStats
from state.ports import Caller, CommandService
from state.rejections import Code, Rejection
from state.room import Room
from state.rooms import Rooms
from state.wire import decode_command, encode_event

# Commands of the room itself, and recording. Those of a connection (join, leave, sync) need one; money and
# the rest of media have ways of their own.
PERFORMABLE: Final = re.compile(
    r"(room:(update|close|transfer)|(seat|mic|chat|mod):[a-z_]+|rtc:(stop_)?forward)"
)


class RoomHandlers:
    """The room routes' handlers."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        audience: Audience,
        directory: Directory,
        new_room_id: Callable[[], str],
        media: CommandService | None = None,
    ) -> None:
        self._rooms = rooms
        self._audience = audience
        self._directory = directory
        self._new_room_id = new_room_id
        self._media = media

    async def create(self, call: Call) -> Reply | Rejection:
        """POST /v1/rooms"""
        fields = {
            name: value
            for name, value in structs.asdict(call.body).items()
            if name in _SETTINGS and value is not UNSET
        }
        password = None if call.body.password is UNSET else call.body.password
        room = await self._rooms.create(
            call.body.room_id or self._new_room_id(),
            call.body.owner_id,
            Settings(**fields),
            password=password or None,
        )
        if isinstance(room, Rejection):
            return room
        return Reply(_shown(room, 0), 201, "room created")

    async def list(self, call: Call) -> Reply | Rejection:
        """GET /v1/rooms"""
        page = await self._directory.page(call.query.cursor, call.query.limit)
        rooms = [_shown(listed.room, listed.online) for listed in page.rooms]
        return Reply(RoomList(rooms, page.next_cursor))

    async def get(self, call: Call) -> Reply | Rejection:
        """GET /v1/rooms/{room_id}"""
        room = await self._rooms.load(call.path["room_id"])
        if room is None:
            return _no_room()
        return Reply(_shown(room, await self._audience.online(room.room_id)))

    async def change(self, call: Call) -> Reply | Rejection:
        """PATCH /v1/rooms/{room_id}"""
        changes = {name: value for name, value in structs.asdict(call.body).items() if value is not UNSET}
        answer = await self._rooms.perform(call.path["room_id"], SYSTEM, RoomUpdate(**changes))
        return answer if isinstance(answer, Rejection) else await self.get(call)

    async def close(self, call: Call) -> Reply | Rejection:
        """DELETE /v1/rooms/{room_id}"""
        answer = await self._rooms.perform(call.path["room_id"], SYSTEM, RoomClose())
        return answer if isinstance(answer, Rejection) else Reply(None, message="room closed")

    async def snapshot(self, call: Call) -> Reply | Rejection:
        """GET /v1/rooms/{room_id}/snapshot"""
        snapshot = await self._rooms.snapshot(call.path["room_id"], SYSTEM)
        return snapshot if isinstance(snapshot, Rejection) else Reply(snapshot)

    async def events(self, call: Call) -> Reply | Rejection:
        """GET /v1/rooms/{room_id}/events"""
        room = await self._rooms.load(call.path["room_id"])
        if room is None:
            return _no_room()
        epoch, _, seq = call.query.after.rpartition(":")
        events = await self._rooms.events_since(room.room_id, epoch or room.epoch, int(seq))
        if events is None:
            return Rejection(Code.CONFLICT, "these events are not kept any more: take a snapshot")
        last = events[-1].seq if events else int(seq)
        shown = [encode_event(room.room_id, recorded) for recorded in events]
        return Reply(Events(shown, epoch or room.epoch, last))

    async def transports(self, call: Call) -> Reply | Rejection:
        """GET /v1/rooms/{room_id}/transports"""
        room_id = call.path["room_id"]
        if await self._rooms.load(room_id) is None:
            return _no_room()
        if self._media is None:
            return Reply(Transports([], 0))
        answer = await self._media.perform(Caller("service", SYSTEM, room_id), RtcStats())
        return answer if isinstance(answer, Rejection) else Reply(answer.data)

    async def perform(self, call: Call) -> Reply | Rejection:
        """POST /v1/rooms/{room_id}/commands"""
        room_id, name = call.path["room_id"], call.body.command
        if not PERFORMABLE.fullmatch(name):
            refused = {"fields": ["command"]}
            return Rejection(Code.PAYLOAD_INVALID, "not a command of the room", details=refused)
        command = decode_command(name, call.body.fields)
        if isinstance(command, Rejection):
            return command
        actor = SYSTEM if call.body.as_user is None else await self._user(room_id, call.body.as_user)
        if name.startswith("rtc:") and self._media is not None:
            answer = await self._media.perform(Caller("service", actor, room_id), command)
        else:
            answer = await self._rooms.perform(room_id, actor, command)
        return (
            answer
            if isinstance(answer, Rejection)
            else Reply(Performed(answer.data, answer.epoch, answer.seq))
        )

    async def _user(self, room_id: str, user_id: str) -> Actor:
        """The user as the room knows it."""
        member = await self._audience.member(room_id, user_id)
        if member is None:
            return Actor(user_id=user_id, present=False)
        return Actor(
            user_id=user_id,
            role=member.role,
            name=member.name,
            avatar=member.avatar,
            level=member.level,
            vip=member.vip,
        )


_SETTINGS: Final = frozenset(field.name for field in msgspec.structs.fields(Settings))


def _no_room() -> Rejection:
    return Rejection(Code.ROOM_NOT_FOUND, "there is no such room")


def _shown(room: Room, online: int) -> Any:
    seated = sum(seat.user is not None for seat in room.seats)
    return RoomShown(room.room_id, room.owner_id, room.settings, online, seated, room.created_at)
