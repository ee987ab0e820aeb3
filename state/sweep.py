"""Looks after rooms that nobody follows, and after what a crash may have left half said.

One node at a time does the round: what is overdue expires, a node that holds connections without a lease is
given up, a seat whose user has no connection begins to wait, a count that differs from the audience on two
looks is corrected, closed rooms leave the directory.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from state.audience import AudienceStore
from state.commands import CorrectOnline, ExpireDue, InternalCommand, MarkAway
from state.directory import Directory
from state.identity import SYSTEM
from state.keys import Keys
from state.reaper import Reaper
from state.room import Room
from state.rooms import Rooms
from state.server import Server
from state.store import Loaded, Missing, RoomStore
from state.supervision import repeat, stop
from state.transitions import next_deadline

_PAGE: Final = 100
_AT_ONCE: Final = 16


class Sweep:
    """The round over all live rooms."""

    def __init__(
        self,
        server: Server,
        keys: Keys,
        store: RoomStore,
        rooms: Rooms,
        audience: AudienceStore,
        directory: Directory,
        reaper: Reaper,
        *,
        node: str,
        now_ms: Callable[[], int],
        round_seconds: float,
    ) -> None:
        self._server = server
        self._keys = keys
        self._store = store
        self._rooms = rooms
        self._audience = audience
        self._directory = directory
        self._reaper = reaper
        self._leaseholders: set[str] = set()
        self._node = node
        self._now_ms = now_ms
        self._round_seconds = round_seconds
        self._suspects: set[tuple[str, str, int]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin the rounds."""
        self._task = repeat(self._round_seconds, self._round_if_ours)

    async def close(self) -> None:
        """Stop."""
        await stop(self._task)

    async def _round_if_ours(self) -> None:
        if await self._is_ours():
            await self.round()

    async def _is_ours(self) -> bool:
        length_ms = int(self._round_seconds * 1000 * 0.9)
        taken = await self._server.execute("SET", self._keys.sweep, self._node, "NX", "PX", length_ms)
        return taken is not None

    async def round(self) -> None:
        """Look at every live room once."""
        self._leaseholders = await self._reaper.leaseholders()
        cursor: str | None = None
        suspects: set[tuple[str, str, int]] = set()
        while True:
            names = await self._directory.names(cursor, _PAGE)
            for start in range(0, len(names), _AT_ONCE):
                part = names[start : start + _AT_ONCE]
                await asyncio.gather(*(self._look(room_id, suspects) for room_id in part))
            if len(names) < _PAGE:
                break
            cursor = names[-1]
        self._suspects = suspects

    async def _look(self, room_id: str, suspects: set[tuple[str, str, int]]) -> None:
        loaded = await self._store.load(room_id)
        if isinstance(loaded, Missing):
            await self._directory.remove(room_id)
            return
        if not isinstance(loaded, Loaded):
            await self._rooms.load(room_id)  # which reports the loss
            return
        room = loaded.room
        if room.closed_reason is not None:
            await self._directory.remove(room_id)
            return
        deadline = next_deadline(room)
        if deadline is not None and deadline <= self._now_ms():
            await self._say(room_id, ExpireDue())
        await self._compare(room, suspects)

    async def _compare(self, room: Room, suspects: set[tuple[str, str, int]]) -> None:
        """What does not fit may be on its way to fit: only what is found on two looks is put right."""
        room_id = room.room_id
        for holder in await self._audience.holders(room_id):
            if holder not in self._leaseholders and self._is_second_look(suspects, (room_id, holder, 0)):
                await self._reaper.give_up(holder, room_id)
        online = await self._audience.online(room_id)
        if online != room.online and self._is_second_look(suspects, (room_id, "", online - room.online)):
            await self._say(room_id, CorrectOnline(online=online))
        for seat in room.seats:
            if seat.user is None or seat.away_since is not None:
                continue
            user_id = seat.user.user_id
            if await self._audience.member(room_id, user_id) is None and self._is_second_look(
                suspects, (room_id, user_id, seat.index)
            ):
                await self._say(room_id, MarkAway(user_id=user_id))

    def _is_second_look(self, suspects: set[tuple[str, str, int]], finding: tuple[str, str, int]) -> bool:
        suspects.add(finding)
        return finding in self._suspects

    async def _say(self, room_id: str, command: InternalCommand) -> None:
        await self._rooms.perform(room_id, SYSTEM, command)
