"""Who comes in: the way of a connection from its first packet to a session.

A token, a look at the room's bans, one connection per device; then either a new session, or an old one that
goes on where it was cut off. A session that is resumed passes the same checks as a new one: a ban that came
while the client was away counts.

What was missed is collected with as many round trips as it takes; the last look, registration and joining
happen in one synchronous step, so nothing falls between what is replayed and what comes live.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from realtime.channels import Channels
from realtime.fanout import Channel, Sent, exactly, excluded_by, sent_of
from realtime.letters import Letters, order
from realtime.parts import Parts
from realtime.positions import Position, inbox_seen, parse
from realtime.recovery import Record, new_private_id
from realtime.replies import turned_away, unavailable
from realtime.sessions import Session, User
from realtime.socketio.frames import Frames
from realtime.socketio.interface import Accept, Connection, Recovery, Refuse
from state.inbox import Letter
from state.rejections import Code, Rejection, Unavailable
from state.room import profile_of
from state.tokens import Claims, verify
from state.transitions import is_banned

SID_BYTES = 15
# Connections that are accepted at a time. Of a crowd each waits for its turn here and then quickly goes
# through; all at once, each would wait for all others at every step, and the server's answers would be late.
AT_ONCE = 256
CATCH_UP_SECONDS = 2.0  # how long a returning client waits for this node to see what it has seen
CATCH_UP_ROUNDS = 5  # events keep coming while we read; each round leaves fewer


class Place(NamedTuple):
    """Where a returning client stands."""

    epoch: str
    seq: int
    inbox: str


class Missed(NamedTuple):
    """What a returning client has not seen, up to a moment in the past."""

    events: list[Sent]
    seq: int
    letters: list[Letter]


class Doorway:
    """Accepts connections. `replaced` is told of a connection whose session or device was taken over."""

    def __init__(
        self, parts: Parts, channels: Channels, letters: Letters, replaced: Callable[[str, str], None]
    ) -> None:
        self._parts = parts
        self._rooms = parts.kernel.rooms
        self._audience = parts.kernel.audience
        self._sessions = parts.sessions
        self._records = parts.records
        self._now_ms = parts.now_ms
        self._channels = channels
        self._letters = letters
        self._replaced = replaced
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def connect(
        self, connection: Connection, auth: dict[str, Any], recovery: Recovery | None
    ) -> Accept | Refuse:
        claims = self.claims(auth.get("token"))
        if isinstance(claims, Rejection):
            return turned_away(claims)
        user = self._arrive(claims.user_id)
        try:
            async with self._turn:
                if connection.closed:  # while it waited
                    return turned_away(unavailable())
                answer = await self._admit(connection, claims, user, recovery)
        except Unavailable:
            if recovery is not None:
                connection.close("unavailable", resumable=True)  # it will try again by itself
            return turned_away(unavailable())
        finally:
            user.arriving -= 1
            self._sessions.rest_if_gone(user, self._now_ms())
        return answer if isinstance(answer, Accept) else turned_away(answer)

    def claims(self, token: Any) -> Claims | Rejection:
        if not isinstance(token, str) or not token:
            return Rejection(Code.AUTH_REQUIRED)
        return verify(token, self._parts.keyring, self._now_ms())

    def _arrive(self, user_id: str) -> User:
        user = self._sessions.users.get(user_id)
        if user is None:
            user = User(user_id, self._parts.admission.user(self._now_ms()))
            self._sessions.users[user_id] = user
        user.arriving += 1
        return user

    async def _admit(
        self, connection: Connection, claims: Claims, user: User, recovery: Recovery | None
    ) -> Accept | Rejection:
        channel = await self._channels.open(claims.room_id)
        refusal = self._refusal(channel, claims)
        if refusal is not None:
            return refusal
        await self._letters.follow(user)
        allowance = self._parts.admission.connection(self._now_ms())
        session = Session(self._parts.new_connection_id(), connection, claims, allowance, user)
        self._sessions.arriving[session.connection_id] = session
        try:
            resumed = None
            if recovery is not None and channel is not None:
                resumed = await self._resume(session, channel, recovery)
            answer = resumed or await self._begin(session, channel)
        finally:
            self._sessions.arriving.pop(session.connection_id, None)
        if isinstance(answer, Accept):
            connection.state = session
        return answer

    def _refusal(self, channel: Channel | None, claims: Claims) -> Rejection | None:
        if channel is None or channel.view is None:
            return None
        if is_banned(channel.view.room, claims.user_id, self._now_ms()):
            return Rejection(Code.BANNED)
        return None

    # -- a new session -------------------------------------------------------------------------------------

    async def _begin(self, session: Session, channel: Channel | None) -> Accept | Rejection:
        user, claims = session.user, session.claims
        session.inbox_position = user.inbox_position
        record = Record(
            private_id=new_private_id(),
            sid=secrets.token_urlsafe(SID_BYTES),
            user_id=user.user_id,
            room_id=claims.room_id,
            device_id=claims.device_id,
            joined=False,
            epoch="",
            seq=0,
            inbox=user.inbox_position,
        )
        session.record = record
        await self._records.create(record, session.connection_id)
        await self._take_device(session, None)
        refusal = self._refusal(channel, claims)
        if session.ended is not None:
            refusal = Rejection(Code.CONFLICT, f"ended while connecting: {session.ended}")
        if refusal is not None:
            await self._records.forget(record)
            return refusal
        session.inbox_position = user.inbox_position
        self._sessions.add(session)
        if channel is not None:
            channel.attach(session)
        return Accept(sid=record.sid, pid=record.private_id)

    async def _take_device(self, session: Session, known: str | None) -> None:
        """One connection per device: whoever had it before is told to go, unless that is `known`."""
        if session.device_id is None:
            return
        before = await self._records.claim_device(session.user_id, session.device_id, session.connection_id)
        if before is not None and before not in (session.connection_id, known):
            self._replaced(before, "other_device")

    # -- a session that goes on ----------------------------------------------------------------------------

    async def _resume(self, session: Session, channel: Channel, recovery: Recovery) -> Accept | None:
        """The old session on this connection; None when it can not go on without a loss."""
        claimed = await self._records.claim(recovery.pid, session.connection_id)
        if claimed is None:
            return None
        record, before = claimed
        place = None
        if record.user_id == session.user_id and record.room_id == session.room_id:
            place = locate(record, recovery.offset)
        missed = None if place is None else await self._missed(session, channel, record, place)
        accepted = None
        if place is not None and missed is not None and await self._reenter(session, channel, record):
            try:
                self._replaced(before, "resumed")
                await self._take_device(session, before)
                accepted = await self._go_on(session, channel, record, place, missed)
            finally:
                if accepted is None and session.member_of is not None:
                    session.member_of = None
                    self._parts.background.spawn(self._audience.drop(channel.room_id, session.connection_id))
        if accepted is None:
            self._replaced(before, "resumed")
            await self._records.forget(record)
        return accepted

    async def _missed(
        self, session: Session, channel: Channel, record: Record, place: Place
    ) -> Missed | None:
        letters = await self._letters.since(session.user, place.inbox)
        if letters is None:
            return None
        if not record.joined:
            return Missed([], 0, letters)
        await channel.reached(place.seq, CATCH_UP_SECONDS)
        events = await self._events(channel, session.user_id, place)
        if events is None:
            return None
        return Missed(events, events[-1].recorded.seq if events else place.seq, letters)

    async def _events(self, channel: Channel, user_id: str, place: Place) -> list[Sent] | None:
        """The room's events after a place; None when they are gone, or when they put the user out."""
        at_hand = channel.since(place.epoch, place.seq)
        if at_hand is not None:
            return None if channel.excluded_since(user_id, place.seq) else at_hand
        recorded = await self._rooms.events_since(channel.room_id, place.epoch, place.seq)
        if recorded is None or channel.view is None or channel.view.epoch != place.epoch:
            return None
        if any(excluded_by(one.event, user_id) for one in recorded):
            return None
        room = channel.view.room
        return [sent_of(room, one) for one in recorded if one.seq <= room.seq]

    async def _reenter(self, session: Session, channel: Channel, record: Record) -> bool:
        """Be a member again before the old connection's membership ends, so that nobody sees us leave."""
        if not record.joined or channel.view is None:
            return not record.joined
        room = channel.view.room
        profile = profile_of(room, session.actor)
        joined = await self._audience.join(
            channel.room_id, session.connection_id, profile, capacity=room.settings.capacity
        )
        if isinstance(joined, Rejection):
            return False
        session.member_of = channel.room_id
        return True

    async def _go_on(
        self, session: Session, channel: Channel, record: Record, place: Place, missed: Missed
    ) -> Accept | None:
        for _ in range(CATCH_UP_ROUNDS):
            seq, letters = missed.seq, missed.letters
            seen = letters[-1].position if letters else place.inbox
            late = channel.since(place.epoch, seq) if record.joined else []
            if record.joined and channel.excluded_since(session.user_id, seq):
                return None
            if late is not None and order(session.user.inbox_position) <= order(seen):
                return self._settle_in(session, channel, record, place, [*missed.events, *late], letters)
            more = await self._missed(session, channel, record, Place(place.epoch, seq, seen))
            if more is None:
                return None
            missed = Missed([*missed.events, *more.events], more.seq, [*letters, *more.letters])
        return None

    def _settle_in(
        self,
        session: Session,
        channel: Channel,
        record: Record,
        place: Place,
        events: list[Sent],
        letters: list[Letter],
    ) -> Accept | None:
        """The synchronous step: from here on the session is a live one."""
        if session.ended is not None or self._refusal(channel, session.claims) is not None:
            return None
        if sum(len(sent.frames.wire(False)) for sent in events) > self._parts.replay_bytes:
            return None
        session.record = record
        session.inbox_position = place.inbox
        self._sessions.add(session)
        channel.attach(session)
        if record.joined:
            channel.enter(session)
        replay = self._replay(session, channel, place, events, letters)
        return Accept(sid=record.sid, pid=record.private_id, replay=replay)

    def _replay(
        self, session: Session, channel: Channel, place: Place, events: list[Sent], letters: list[Letter]
    ) -> list[Frames]:
        frames = channel.shown(session, events)
        if not letters:
            return frames
        frames = [exactly(one, place.inbox) for one in frames]
        frames += self._letters.addressed(session, letters)
        self._letters.settle(session)
        return frames


def locate(record: Record, offset: str | None) -> Place | None:
    """Where the client stands by what it shows; None when that can not be told any more."""
    if offset is None:
        return None if record.reset else Place(record.epoch, record.seq, record.inbox)
    position = parse(offset)
    if position is None:
        return None
    inbox = inbox_seen(record.marks, position)
    if not record.joined:
        return None if inbox is None else Place("", 0, inbox)
    if position.epoch != record.epoch:
        if record.reset:
            return None
        # it has seen nothing of this room since it joined, only of an earlier one
        position = Position(record.epoch, record.seq, inbox)
        inbox = inbox_seen(record.marks, Position(record.epoch, record.seq + 1)) if inbox is None else inbox
    return None if inbox is None else Place(position.epoch, max(position.seq, record.seq), inbox)
