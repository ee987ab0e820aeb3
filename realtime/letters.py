"""Private events: from a user's inbox to each of its connections on this node.

The kernel keeps what was posted to a user in a stream of its own, with positions of its own; a node follows
the inboxes of the users it holds. Every letter goes out with an exact position, and the session's record
gets a mark (see positions.py); until the mark is stored, the room's frames for this session are exact too.
"""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from realtime.parts import Parts
from realtime.positions import Mark, Position, marked
from realtime.sessions import Session, User
from realtime.socketio.frames import Frames
from state.inbox import Letter
from state.rejections import Unavailable


def order(position: str) -> tuple[int, ...]:
    """Positions of one inbox in their order; they are stream ids (`time-number`) or plain numbers."""
    return tuple(int(part) for part in position.split("-")) if position else ()


class Reader:
    """An `InboxListener` for one user. A user who goes and comes back at once has two for a moment, and the
    end of the old one does not end the new one."""

    def __init__(self, user: User, letters: Letters) -> None:
        self.user = user
        self._letters = letters

    def on_letters(self, user_id: str, letters: list[Letter]) -> None:  # noqa: ARG002
        self._letters.deliver(self.user, letters)


class Letters:
    """What users were sent privately, on its way to their sessions."""

    def __init__(self, parts: Parts) -> None:
        self._inbox = parts.kernel.inbox
        self._records = parts.records
        self._background = parts.background

    async def follow(self, user: User) -> None:
        """Hear the inbox of this user; many connections of one user share one subscription."""
        if user.following is not None:
            await asyncio.shield(user.following)
            return
        following = user.following = asyncio.get_running_loop().create_future()
        following.add_done_callback(_heard)  # there may be nobody else who waits for it
        try:
            await self._begin(user)
            following.set_result(None)
        except BaseException as failure:
            user.following = None
            following.set_exception(Unavailable(f"the inbox can not be followed: {failure!r}"))
            raise

    async def _begin(self, user: User) -> None:
        user.reader = Reader(user, self)
        position = await self._inbox.follow(user.user_id, user.reader)
        if order(position) > order(user.inbox_position):
            user.inbox_position = position

    async def unfollow(self, user: User) -> None:
        if user.reader is not None:
            await self._inbox.unfollow(user.user_id, user.reader)

    async def since(self, user: User, position: str) -> list[Letter] | None:
        """The letters after a position; what this node has not heard of yet comes live."""
        if position == user.inbox_position:
            return []
        return await self._inbox.since(user.user_id, position)

    def deliver(self, user: User, letters: list[Letter]) -> None:
        if not letters:
            return
        user.inbox_position = letters[-1].position
        for session in list(user.sessions.values()):
            fresh = [one for one in letters if order(one.position) > order(session.inbox_position)]
            if fresh and session.ended is None:
                for frames in self.addressed(session, fresh):
                    session.connection.send(frames)
                self.settle(session)

    # -- positions -----------------------------------------------------------------------------------------

    def addressed(self, session: Session, letters: list[Letter]) -> list[Frames]:
        """The letters as frames for this session; it counts as having been sent them."""
        view = session.channel.view if session.joined and session.channel is not None else None
        epoch, seq = (view.epoch, view.seq) if view is not None else ("", 0)
        session.inbox_position = letters[-1].position
        return [
            Frames(letter.name, letter.body, str(Position(epoch, seq, letter.position))) for letter in letters
        ]

    def settle(self, session: Session) -> None:
        """Mark what was just sent, and share the room's frames again when the mark is stored."""
        channel = session.channel
        if not session.joined or channel is None or channel.view is None:
            return
        channel.exact_from(session, session.inbox_position)
        mark = Mark(channel.view.epoch, channel.view.seq, session.inbox_position)
        session.record = replace(session.record, marks=marked(session.record.marks, mark))
        session.unconfirmed += 1
        self._background.spawn(self._store(session, session.unconfirmed))

    async def _store(self, session: Session, number: int) -> None:
        try:
            await self._records.save(session.record, session.connection_id)
        except Unavailable:
            return  # the frames stay exact until a later mark is stored
        if session.unconfirmed == number and session.ended is None and session.channel is not None:
            session.channel.shared_again(session)


def _heard(following: asyncio.Future[None]) -> None:
    if not following.cancelled():
        following.exception()
