"""What a first run on one's own machine finds: a room, somebody in funds, and tokens for whoever comes by.

Only a node with the development keys has this; everywhere else tokens come from a backend.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

import structlog

from realtime.keys import room_token
from state.events import Settings as RoomSettings
from state.rejections import Rejection, Unavailable
from state.rooms import Rooms
from state.settings import Settings

SAMPLE_ROOM = "lobby"
SAMPLE_USER = "ada"
POCKET_MONEY_COINS = 10_000
VISITOR_BYTES = 5

_log = structlog.get_logger("development")


class Development:
    """The sample room, and visitors; a part of the node."""

    name = "development"

    def __init__(
        self,
        settings: Settings,
        rooms: Rooms,
        *,
        stock: Callable[[], Awaitable[object]],
        credit: Callable[[str, int], Awaitable[object]],
    ) -> None:
        self._settings = settings
        self._rooms = rooms
        # Fills the catalog of gifts.
        self._stock = stock
        # Gives coins to a user, once.
        self._credit = credit

    async def start(self) -> None:
        """Opens the sample room and fills the shelves and the sample user's purse, once."""
        try:
            await self._stock()
            await self._credit(SAMPLE_USER, POCKET_MONEY_COINS)
            made = await self._rooms.create(SAMPLE_ROOM, SAMPLE_USER, RoomSettings(name="Lobby"))
        except Unavailable as failure:
            _log.warning("the sample room is not there yet", reason=str(failure))
            return
        if not isinstance(made, Rejection):
            _log.info("sample room opened", room_id=SAMPLE_ROOM)

    async def visitor(self, room_id: str, name: str) -> str:
        """A token of a fresh user with some money to spend."""
        user_id = f"visitor-{secrets.token_hex(VISITOR_BYTES)}"
        await self._credit(user_id, POCKET_MONEY_COINS)
        return room_token(self._settings, room_id, user_id, name=name)

    async def drain(self, seconds: float) -> None:
        """The room stays."""

    async def stop(self) -> None:
        """Nothing runs by itself."""

    async def check(self) -> str | None:
        return None
