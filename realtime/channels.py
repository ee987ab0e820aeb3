"""The rooms of this node: opened for the first session that needs one, closed some time after the last.

Opening means that the kernel follows the room. Many sessions may want the same room in the same instant;
they wait for one opening. A room without sessions is kept for a moment, because those who were just cut
off are about to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime.fanout import Channel
from state.following import Followers

LINGER_MS = 15_000


class Channels:
    """Channels by room id."""

    def __init__(self, followers: Followers, make: Callable[[str], Channel]) -> None:
        self._followers = followers
        self._make = make
        self._open: dict[str, Channel] = {}
        self._opening: dict[str, asyncio.Task[Channel | None]] = {}
        self._empty_since: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def get(self, room_id: str) -> Channel | None:
        return self._open.get(room_id)

    def all(self) -> list[Channel]:
        return list(self._open.values())

    async def open(self, room_id: str) -> Channel | None:
        """The channel of a room, None when there is no such room; raises Unavailable."""
        channel = self._open.get(room_id)
        if channel is not None:
            self._empty_since.pop(room_id, None)
            return channel
        opening = self._opening.get(room_id)
        if opening is None:
            opening = asyncio.get_running_loop().create_task(self._begin(room_id))
            self._opening[room_id] = opening
        return await asyncio.shield(opening)

    async def _begin(self, room_id: str) -> Channel | None:
        try:
            channel = self._make(room_id)
            view = await self._followers.watch(room_id, channel)
            if view is None:
                return None
            channel.view = view
            self._open[room_id] = channel
            return channel
        finally:
            del self._opening[room_id]

    async def close_idle(self, now_ms: int) -> None:
        """Stop following rooms that have had no session for a while; called every second or so."""
        for room_id, channel in list(self._open.items()):
            if channel.sessions:
                self._empty_since.pop(room_id, None)
            elif now_ms - self._empty_since.setdefault(room_id, now_ms) >= LINGER_MS:
                del self._open[room_id], self._empty_since[room_id]
                await self._followers.unwatch(room_id, channel)
