"""Tells rooms who came and went: at once in a small room, once a second in a big one.

Somebody who came and went between two announcements is not mentioned.
"""

import asyncio
from collections.abc import Callable

from state import limits
from state.commands import AnnounceMembers, Departure
from state.identity import SYSTEM, Profile
from state.ids import new_id
from state.ports import Done
from state.rejections import Unavailable
from state.rooms import Rooms
from state.supervision import stop

_PAUSE_S = 0.2
_ID_BYTES = 10
_AT_ONCE_MAX = 500  # users in one announcement; keeps an event below what a socket takes in one piece


class _News:
    """What is to be announced next, and who waits for that: the future has the number of the last event."""

    def __init__(self) -> None:
        self.users: dict[str, Profile | Departure] = {}
        self.told: asyncio.Future[int] = asyncio.get_running_loop().create_future()


class Announcer:
    """Collects and announces, one task per room that has news."""

    def __init__(
        self, rooms: Rooms, *, now_ms: Callable[[], int], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._rooms = rooms
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._news: dict[str, _News] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def joined(self, room_id: str, profile: Profile, online: int) -> asyncio.Future[int]:
        """A user came in. The future has the number of the event that says so."""
        return self._note(room_id, profile.user_id, profile, online)

    def left(self, room_id: str, user_id: str, reason: str, online: int) -> None:
        """A user is gone."""
        self._note(room_id, user_id, Departure(user_id, reason), online)

    def _note(
        self, room_id: str, user_id: str, news: Profile | Departure, online: int
    ) -> asyncio.Future[int]:
        waiting = self._news.get(room_id)
        if waiting is None:
            waiting = self._news[room_id] = _News()
        before = waiting.users.pop(user_id, None)
        if before is None:
            waiting.users[user_id] = news
        elif type(before) is type(news):
            waiting.users[user_id] = before
        if room_id not in self._tasks:
            pause = limits.MEMBER_BATCH_MS / 1000 if online >= limits.MEMBER_BATCH_FROM else 0.0
            self._tasks[room_id] = asyncio.get_running_loop().create_task(self._announce(room_id, pause))
        return waiting.told

    async def _announce(self, room_id: str, pause: float) -> None:
        try:
            await asyncio.sleep(pause)
            while waiting := self._news.pop(room_id, None):
                news, seq = list(waiting.users.values()), 0
                for start in range(0, len(news), _AT_ONCE_MAX):
                    seq = await self._say(room_id, news[start : start + _AT_ONCE_MAX])
                waiting.told.set_result(seq)
        finally:
            self._tasks.pop(room_id, None)

    async def _say(self, room_id: str, news: list[Profile | Departure]) -> int:
        command = AnnounceMembers(
            joined=[one for one in news if isinstance(one, Profile)],
            left=[one for one in news if isinstance(one, Departure)],
        )
        command_id = new_id(self._random_bytes(_ID_BYTES), self._now_ms())
        while True:
            try:
                answer = await self._rooms.perform(room_id, SYSTEM, command, command_id=command_id)
            except Unavailable:
                await asyncio.sleep(_PAUSE_S)
                continue
            return answer.seq if isinstance(answer, Done) else 0

    async def close(self) -> None:
        """Stop."""
        await stop(*self._tasks.values())
