"""The stream of one user: private events (wallet, kicks), kept for a while, with its own position.

The channel only rings; letters are always read from the stream behind the last one delivered, so that each
comes once and in order, also after a time without connection.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from state.keys import Keys
from state.rejections import Unavailable
from state.server import Server

KEPT: Final = 200  # letters of a user; more than anybody misses in a tunnel
KEPT_MS: Final = 86_400_000
_START: Final = "0-0"
_PAUSE_S: Final = 0.1


class Letter(Struct, frozen=True):
    """One private event at its place in the user's stream."""

    position: str
    name: str
    body: dict[str, Any]


class InboxListener(Protocol):
    """Told of the letters of users that this node follows, in order."""

    def on_letters(self, user_id: str, letters: list[Letter]) -> None:
        """These came in. Must not block."""
        ...


class _Post(Struct, frozen=True, array_like=True):
    name: str
    body: dict[str, Any]


class _Following:
    __slots__ = ("listeners", "position", "reading", "rung", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.position: str | None = None
        self.listeners: list[InboxListener] = []
        self.reading: asyncio.Task[None] | None = None
        self.rung = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Post)


def _order(position: str) -> tuple[int, int]:
    time, _, number = position.partition("-")
    return int(time), int(number or 0)


class Inbox:
    """Post to users, follow those who are connected here."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self._followed: dict[str, _Following] = {}
        self._users_by_channel: dict[str, str] = {}

    async def post(self, user_id: str, name: str, body: dict[str, Any]) -> str:
        """Keep a private event and ring the nodes that follow the user; returns its position."""
        position = await self._server.script(
            "post",
            (self._keys.inbox(user_id),),
            (_encoder.encode(_Post(name, body)), self._keys.inbox_channel(user_id), KEPT, KEPT_MS),
        )
        return bytes(position).decode()

    async def follow(self, user_id: str, listener: InboxListener) -> str:
        """Hear the user's letters from now on; returns the present position."""
        following = self._followed.setdefault(user_id, _Following(user_id))
        following.listeners.append(listener)
        channel = self._keys.inbox_channel(user_id)
        self._users_by_channel[channel] = user_id
        try:
            await self._server.subscribe((channel,))
            position = await self._newest(user_id)
        except BaseException:
            await self.unfollow(user_id, listener)
            raise
        if following.position is None:
            following.position = position
        return following.position

    async def unfollow(self, user_id: str, listener: InboxListener) -> None:
        """Stop."""
        following = self._followed.get(user_id)
        if following is None or listener not in following.listeners:
            return
        following.listeners.remove(listener)
        if not following.listeners:
            del self._followed[user_id]
            if following.reading is not None:
                following.reading.cancel()
            channel = self._keys.inbox_channel(user_id)
            if self._users_by_channel.pop(channel, None) is not None:
                await self._server.unsubscribe((channel,))

    async def since(self, user_id: str, position: str) -> list[Letter] | None:
        """The letters after a position, or None when they are not kept any more."""
        oldest = await self._server.execute("XRANGE", self._keys.inbox(user_id), "-", "+", "COUNT", 1)
        letters = await self._read(user_id, position)
        trimmed = len(letters) >= KEPT
        if trimmed and oldest and _order(bytes(oldest[0][0]).decode()) > _order(position):
            return None
        return letters

    async def _newest(self, user_id: str) -> str:
        last = await self._server.execute("XREVRANGE", self._keys.inbox(user_id), "+", "-", "COUNT", 1)
        return bytes(last[0][0]).decode() if last else _START

    async def _read(self, user_id: str, position: str) -> list[Letter]:
        entries = await self._server.execute("XRANGE", self._keys.inbox(user_id), f"({position}", "+")
        letters = []
        for place, fields in entries:
            post = _decoder.decode(fields[1])
            letters.append(Letter(bytes(place).decode(), post.name, post.body))
        return letters

    # --- What the server says -----------------------------------------------------------------------------

    def on_bell(self, channel: str) -> bool:
        """A message on a channel; False when it is not for us."""
        user_id = self._users_by_channel.get(channel)
        if user_id is None:
            return False
        self._ring(user_id)
        return True

    def on_reset(self, channels: Sequence[str]) -> None:
        """These channels may have missed something."""
        for channel in channels:
            if channel in self._users_by_channel:
                self._ring(self._users_by_channel[channel])

    def _ring(self, user_id: str) -> None:
        following = self._followed.get(user_id)
        if following is None:
            return
        following.rung = True
        if following.reading is None or following.reading.done():
            following.reading = asyncio.get_running_loop().create_task(self._deliver(following))

    async def _deliver(self, following: _Following) -> None:
        while following.rung:
            following.rung = False
            if following.position is None:
                return  # its first reading is under way and sets the place
            try:
                letters = await self._read(following.user_id, following.position)
            except Unavailable:
                following.rung = True
                await asyncio.sleep(_PAUSE_S)
                continue
            if letters:
                following.position = letters[-1].position
                for listener in tuple(following.listeners):
                    listener.on_letters(following.user_id, letters)

    async def close(self) -> None:
        """Stop reading."""
        tasks = [one.reading for one in self._followed.values() if one.reading is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
