"""In and out of a room: join, leave, sync, and what a member is told of itself.

A join has one point in time: the copy of the room as it was when the audience had let the user in. The
record of the session is stored with that point before the answer goes out; whatever happened meanwhile
follows the answer, in the same synchronous step in which the session starts to get live events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from realtime.channels import Channels
from realtime.doorway import AT_ONCE, CATCH_UP_SECONDS, Doorway
from realtime.fanout import Channel, Sent, sent_of
from realtime.parts import Parts
from realtime.positions import Mark, marked, room_position
from realtime.replies import Reply, accepted, refused
from realtime.sessions import Session
from realtime.socketio.frames import Frames
from state.commands import RoomJoin, RoomMembers, RoomSync
from state.following import RoomView
from state.ports import Done
from state.rejections import Code, Rejection, Unavailable
from state.room import profile_of, you
from state.tokens import Claims
from state.transitions import admit, permissions_of
from state.wire import seen_by

NOT_IN_ROOM = Rejection(Code.NOT_IN_ROOM)


class Membership:
    """Handlers of the room commands that concern a connection and not the document."""

    def __init__(
        self,
        parts: Parts,
        channels: Channels,
        doorway: Doorway,
        answer: Callable[[Session, int | None, Reply], None],
    ) -> None:
        self._rooms = parts.kernel.rooms
        self._audience = parts.kernel.audience
        self._records = parts.records
        self._expiries = parts.expiries
        self._now_ms = parts.now_ms
        self._channels = channels
        self._doorway = doorway
        self._answer = answer
        self._turn = asyncio.Semaphore(AT_ONCE)

    # -- join ----------------------------------------------------------------------------------------------

    async def join(self, session: Session, command: RoomJoin, ack_id: int | None) -> None:
        """Answers by itself: the answer and the first live event must not be parted."""
        async with self._turn:
            refusal = await self._join(session, command, ack_id)
        if refusal is not None:
            self._answer(session, ack_id, refused(refusal))

    async def _join(self, session: Session, command: RoomJoin, ack_id: int | None) -> Rejection | None:
        if command.token is not None:
            refusal = await self._present(session, command.token)
            if refusal is not None:
                return refusal
        channel = await self._channel(session)
        if channel is None or channel.view is None:
            return Rejection(Code.ROOM_NOT_FOUND)
        refusal = await self._enter(session, channel, command)
        if refusal is not None or session.channel is not channel:
            return refusal or NOT_IN_ROOM
        missed = await self._missed(channel, command.epoch, command.last_seq)
        view = channel.view
        epoch, seq = view.epoch, view.seq
        data = {"epoch": epoch, "seq": seq, "you": self._you(session, view), "resumed": missed is not None}
        if missed is not None:
            data["events"] = [self._listed(session, view, sent) for sent in missed]
        else:
            data["snapshot"] = channel.snapshot(session.actor)
        await self._store(session, epoch, seq)
        return self._begin(session, channel, epoch, seq, ack_id, data)

    async def _present(self, session: Session, token: str) -> Rejection | None:
        """A token that came with the join; it may name another room."""
        claims = self._doorway.claims(token)
        if isinstance(claims, Rejection):
            return claims
        if claims.user_id != session.user_id:
            return Rejection(Code.TOKEN_INVALID, "the token is for another user")
        if claims.room_id != session.room_id:
            await self.leave(session)
            if session.channel is not None:
                session.channel.detach(session)
        self.identify(session, claims)
        return None

    def identify(self, session: Session, claims: Claims) -> None:
        session.identify(claims)
        self._expiries.watch(session)
        if session.channel is not None:
            session.channel.reconsider(session)

    async def _channel(self, session: Session) -> Channel | None:
        if session.channel is None:
            channel = await self._channels.open(session.room_id)
            if channel is not None and session.ended is None:
                channel.attach(session)
        return session.channel

    async def _enter(self, session: Session, channel: Channel, command: RoomJoin) -> Rejection | None:
        """Ask the room, then the audience."""
        assert channel.view is not None
        room = channel.view.room
        if session.member_of == channel.room_id:
            return None
        refusal = admit(room, session.actor, command.password, self._now_ms())
        if refusal is not None:
            return refusal
        profile = profile_of(room, session.actor)
        joined = await self._audience.join(
            channel.room_id, session.connection_id, profile, capacity=room.settings.capacity
        )
        if isinstance(joined, Rejection):
            return joined
        if session.ended is not None or session.connection.closed:
            await self._audience.drop(channel.room_id, session.connection_id)
            return NOT_IN_ROOM
        session.member_of = channel.room_id
        return None

    async def _store(self, session: Session, epoch: str, seq: int) -> None:
        record = session.record
        mark = Mark(epoch, seq, session.inbox_position)
        session.record = replace(
            record,
            joined=True,
            room_id=session.room_id,
            epoch=epoch,
            seq=seq,
            marks=marked(record.marks, mark),
            reset=False,
        )
        try:
            await self._records.save(session.record, session.connection_id)
        except Unavailable:
            session.record = record
            raise

    def _begin(
        self, session: Session, channel: Channel, epoch: str, seq: int, ack_id: int | None, data: Any
    ) -> Rejection | None:
        """The synchronous step: the answer, what happened since, and live from here on."""
        if session.ended is not None or session.connection.closed:
            return NOT_IN_ROOM
        since = channel.since(epoch, seq)
        if since is None or channel.excluded_since(session.user_id, seq):
            return Rejection(Code.UNAVAILABLE, "the room has just changed; join again", 100)
        self._answer(session, ack_id, accepted(data))
        if not session.joined:
            for frames in channel.shown(session, since):
                session.connection.send(frames)
            channel.enter(session)
        return None

    # -- what was missed -----------------------------------------------------------------------------------

    async def _missed(self, channel: Channel, epoch: str | None, last_seq: int | None) -> list[Sent] | None:
        """The events after a client's own position; None when it needs a snapshot."""
        view = channel.view
        if epoch is None or last_seq is None or view is None or view.epoch != epoch:
            return None
        await channel.reached(last_seq, CATCH_UP_SECONDS)
        at_hand = channel.since(epoch, last_seq)
        if at_hand is not None:
            return at_hand
        recorded = await self._rooms.events_since(channel.room_id, epoch, last_seq)
        view = channel.view
        if recorded is None or view is None or view.epoch != epoch or last_seq > view.seq:
            return None
        return [sent_of(view.room, one) for one in recorded if one.seq <= view.seq]

    def _listed(self, session: Session, view: RoomView, sent: Sent) -> list[Any]:
        """An event as it stands in the answer to a join: its name and body."""
        recorded = seen_by(view.room, sent.recorded, session.actor)
        frames = sent.frames if recorded is sent.recorded or sent.passed is None else sent.passed
        return list(frames.data[:2])

    def _you(self, session: Session, view: RoomView) -> dict[str, Any]:
        return you(view.room, session.actor, permissions_of(view.room, session.actor))

    async def sync(self, session: Session, command: RoomSync, ack_id: int | None) -> None:
        """As a join for one who is in: what was missed, or a snapshot."""
        if not session.joined:
            self._answer(session, ack_id, refused(NOT_IN_ROOM))
            return
        await self.join(session, RoomJoin(epoch=command.epoch, last_seq=command.last_seq), ack_id)

    def send_snapshot(self, session: Session, channel: Channel, view: RoomView) -> None:
        """After a reset: the state as it is now, in place of events that can not be had."""
        body = {
            "room_id": session.room_id,
            "snapshot": channel.snapshot(session.actor),
            "you": self._you(session, view),
        }
        session.connection.send(Frames("room:snapshot", body, room_position(view.epoch, view.seq)))
        mark = Mark(view.epoch, view.seq, session.inbox_position)
        session.record = replace(
            session.record,
            epoch=view.epoch,
            seq=view.seq,
            marks=marked(session.record.marks, mark),
            reset=True,
        )

    # -- leave ---------------------------------------------------------------------------------------------

    async def leave(self, session: Session) -> Done | Rejection:
        if session.channel is None or session.member_of is None:
            return NOT_IN_ROOM
        session.channel.leave(session)
        session.record = replace(session.record, joined=False)
        await self._records.save(session.record, session.connection_id)
        await self._audience.leave(session.member_of, session.connection_id)
        session.member_of = None
        return Done({})

    # -- members -------------------------------------------------------------------------------------------

    async def members(self, session: Session, command: RoomMembers) -> Done | Rejection:
        if not session.joined:
            return NOT_IN_ROOM
        page = await self._audience.members(session.room_id, command.cursor, command.limit)
        return Done(
            {
                "members": [to_builtins(member) for member in page.members],
                "next_cursor": page.next_cursor,
                "total": page.total,
            }
        )
