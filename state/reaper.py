"""Gives up nodes that fell silent: every node looks, one gets each case.

A reaper acts only when its own contact with the server was unbroken for the length of a lease. After an
outage that hit all, everybody therefore has the time to speak again before anybody is given up.
"""

import asyncio
import logging
from typing import Final

from state.audience import Audience
from state.keys import Keys
from state.lease import Lease
from state.server import Server
from state.supervision import repeat, stop

_log = logging.getLogger(__name__)
_TAKE_MS: Final = 10_000
_TAKE_MAX: Final = 10
_REMEMBER_MS: Final = 3_600_000
_ROOMS_AT_ONCE: Final = 16


class Reaper:
    """Looks for silent nodes and settles what they held."""

    def __init__(
        self,
        server: Server,
        keys: Keys,
        lease: Lease,
        audience: Audience,
        *,
        lease_seconds: float,
        look_seconds: float,
    ) -> None:
        self._server = server
        self._keys = keys
        self._lease = lease
        self._audience = audience
        self._lease_seconds = lease_seconds
        self._look_seconds = look_seconds
        self._task: asyncio.Task[None] | None = None
        self.reaped = 0

    def start(self) -> None:
        """Begin to look."""
        self._task = repeat(self._look_seconds, self._look_if_sure)

    async def close(self) -> None:
        """Stop."""
        await stop(self._task)

    async def _look_if_sure(self) -> None:
        if self._lease.is_unbroken_for(self._lease_seconds):
            await self.look()  # what is left half done is taken again by whoever comes next

    async def look(self) -> None:
        """Take over what is overdue, and settle it."""
        keys = self._keys
        taken = await self._server.script("take", (keys.leases, keys.dying), (_TAKE_MS, _TAKE_MAX))
        for member in taken:
            node, _, token = bytes(member).decode().rpartition(":")
            await self._settle(node, int(token))

    async def leaseholders(self) -> set[str]:
        """Each `node:token` that has a lease, or is being settled."""
        keys = self._keys
        found = [
            *await self._server.execute("ZRANGE", keys.leases, 0, -1),
            *await self._server.execute("ZRANGE", keys.dying, 0, -1),
        ]
        return {bytes(member).decode() for member in found}

    async def give_up(self, holder: str, room_id: str) -> None:
        """Have a `node:token` settled that holds connections in a room and has no lease: the server lost it,
        and the node died before it could say so."""
        node, _, token = holder.rpartition(":")
        await self._server.execute("SADD", self._keys.rooms_of(node, int(token)), room_id)
        await self._server.execute("ZADD", self._keys.dying, "NX", 0, holder)

    async def _settle(self, node: str, token: int) -> None:
        _log.warning("node %s fell silent and is given up", node)
        keys = self._keys
        members = await self._server.execute("SMEMBERS", keys.rooms_of(node, token))
        rooms = sorted(bytes(room).decode() for room in members)
        for start in range(0, len(rooms), _ROOMS_AT_ONCE):
            part = rooms[start : start + _ROOMS_AT_ONCE]
            await asyncio.gather(*(self._reap(room_id, node, token) for room_id in part))
        await self._server.script(
            "bury", (keys.dying, keys.reaped, keys.rooms_of(node, token)), (f"{node}:{token}", _REMEMBER_MS)
        )
        self.reaped += 1

    async def _reap(self, room_id: str, node: str, token: int) -> None:
        keys = self._keys
        names = (
            keys.members(room_id),
            keys.profiles(room_id),
            keys.counts(room_id),
            keys.held(room_id, node, token),
            keys.fences(room_id),
            keys.gone(room_id, node, token),
            keys.holders(room_id),
        )
        gone = await self._server.script("reap", names, (node, token, _REMEMBER_MS))
        if not gone:
            return
        online = await self._audience.online(room_id)
        for user in gone:
            await self._audience.gone(room_id, bytes(user).decode(), online)
        await self._server.execute("DEL", keys.gone(room_id, node, token))
