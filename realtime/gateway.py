"""The product above the wire: commands in, answers and events out.

An `Application` for the Socket.IO server. A command is decoded strictly, admitted, carried out by the kernel
or by the service that its domain belongs to, and answered; the wire keeps the order of one client. What ends
a session, for whatever reason and from whatever node, ends it here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from realtime import figures
from realtime.channels import Channels
from realtime.doorway import Doorway
from realtime.engine.reasons import Reason, resumable
from realtime.fanout import Channel
from realtime.letters import Letters
from realtime.membership import Membership
from realtime.parts import Parts
from realtime.replies import Reply, accepted, refused, unavailable
from realtime.sessions import Session
from realtime.socketio.frames import Frames
from realtime.socketio.interface import Accept, Connection, Group, Recovery, Refuse
from state.commands import (
    ChatSend,
    Command,
    RoomJoin,
    RoomLeave,
    RoomMembers,
    RoomSync,
    SysRefreshToken,
    SysTime,
)
from state.ports import Answer, Done
from state.rejections import Code, Rejection, Unavailable
from state.tokens import Claims
from state.transitions import QUERIES
from state.wire import decode_command

logger = logging.getLogger(__name__)

INVALID = Rejection(Code.PAYLOAD_INVALID, "a command takes one object")
INTERNAL = Rejection(Code.INTERNAL)
END_SIGNAL = "gateway:end"
# Commands of these domains that need no membership; all others of theirs do.
OPEN_TO_ALL = frozenset({"gift:catalog", "wallet:get", "rank:get"})
# The seat of a user ends with the session for these reasons; for all others it is kept for a while.
FREES_THE_SEAT = frozenset({"kicked", "banned", "room_closed"})
SNAPSHOTS_AT_ONCE = 64
OWN_WRITES_SECONDS = 0.5
SILENT = frozenset({"resumed", "fenced"})


class Gateway:
    """An `Application`."""

    # made by the Socket.IO server, which in its turn needs the application first
    make_group: Callable[[], Group]

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.channels = Channels(parts.kernel.followers, self._make_channel)
        self.letters = Letters(parts)
        self._doorway = Doorway(parts, self.channels, self.letters, self.end_anywhere)
        self._membership = Membership(parts, self.channels, self._doorway, self.answer)
        self._services = tuple(dict.fromkeys(parts.services.values()))
        self._complained_ms = 0

    def _make_channel(self, room_id: str) -> Channel:
        scope = self.parts.admission.room(self.parts.now_ms())
        return Channel(room_id, self.make_group(), scope, self, self.parts.tap)

    # -- Application ---------------------------------------------------------------------------------------

    async def on_connect(
        self, connection: Connection, auth: dict[str, Any], recovery: Recovery | None
    ) -> Accept | Refuse:
        answer = await self._doorway.connect(connection, auth, recovery)
        if isinstance(answer, Refuse):
            figures.connect_refused()
        else:
            figures.connect_accepted()
            session: Session = connection.state
            self.parts.expiries.watch(session)
            claims, tap = session.claims, self.parts.tap
            tap.connect(session.record.sid, claims.user_id, claims.room_id, claims.role)
        return answer

    def on_command(
        self, connection: Connection, name: str, arguments: list[Any], ack_id: int | None, size_bytes: int
    ) -> Awaitable[None] | None:
        session: Session = connection.state
        body = arguments[0] if len(arguments) == 1 else None
        self.parts.tap.command(connection.sid, ack_id, name, body)
        command = decode_command(name, body) if isinstance(body, dict) else INVALID
        refusal = self._admitted(session, command, size_bytes)
        if refusal is None and isinstance(command, Rejection):
            refusal = command
        if refusal is not None:
            self._refuse(session, ack_id, refusal)
            return None
        assert not isinstance(command, Rejection)
        if isinstance(command, SysTime):
            now_ms = self.parts.now_ms()
            data = {"t0": command.t0, "t1": now_ms, "t2": now_ms}
            self.answer(session, ack_id, accepted(data))
            return None
        return self._carry_out(session, name, command, ack_id)

    def on_disconnect(self, connection: Connection, reason: str) -> Awaitable[None] | None:
        session: Session = connection.state
        self.parts.tap.disconnect(session.record.sid, reason)
        figures.disconnected(reason)
        channel = session.channel
        if channel is not None:
            channel.detach(session)
        parts = self.parts
        parts.sessions.remove(session)
        background = parts.background
        background.spawn(self._farewell(session, comes_back=session.ended is None and resumable(reason)))
        parts.sessions.rest_if_gone(session.user, parts.now_ms())
        return None

    async def _farewell(self, session: Session, *, comes_back: bool) -> None:
        """What others are to know of the end of a session."""
        audience, records, ended = self.parts.kernel.audience, self.parts.records, session.ended
        if session.member_of is not None and ended in FREES_THE_SEAT:
            await audience.leave(session.member_of, session.connection_id, ended or "left")
        elif session.member_of is not None:
            await audience.drop(session.member_of, session.connection_id)
        for service in self._services:
            await service.connection_closed(session.caller())
        if not comes_back and ended not in SILENT:  # a resumed session lives on, elsewhere
            await records.forget(session.record)

    # -- commands ------------------------------------------------------------------------------------------

    def _admitted(self, session: Session, command: Command | Rejection, size_bytes: int) -> Rejection | None:
        """None, or RATE_LIMITED. What cannot be decoded costs as much as what can."""
        parts = self.parts
        now_ms, kind = parts.now_ms(), "event"
        if isinstance(command, ChatSend):
            kind = "chat"
        elif isinstance(command, RoomJoin | RoomSync):
            kind = "join"
        room = session.channel.scope if session.channel is not None else parts.admission.node
        wait_ms = session.allowance.bytes.take(size_bytes, now_ms) or parts.admission.command(
            session.allowance, session.user.scope, room, kind, now_ms
        )
        return Rejection(Code.RATE_LIMITED, retry_after_ms=math.ceil(wait_ms)) if wait_ms else None

    def _refuse(self, session: Session, ack_id: int | None, refusal: Rejection) -> None:
        self.answer(session, ack_id, refused(refusal))
        if session.allowance.struck_out(self.parts.now_ms()):
            logger.info("connection %s does not keep to the limits", session.connection_id)
            session.ended = "flooding"
            session.connection.close(Reason.SERVER_DISCONNECT, resumable=False)

    async def _carry_out(self, session: Session, name: str, command: Command, ack_id: int | None) -> None:
        if session.ended is not None:
            return
        session.busy = True
        await self._carry_out_and_answer(session, name, command, ack_id)
        session.busy = False
        ended: str | None = session.ended  # it may have changed meanwhile
        if ended == "room_closed":
            self._send_away(session, ended)  # who closed the room gets its answer first

    async def _carry_out_and_answer(
        self, session: Session, name: str, command: Command, ack_id: int | None
    ) -> None:
        started = time.perf_counter()
        try:
            if isinstance(command, RoomJoin):
                await self._membership.join(session, command, ack_id)
                return
            if isinstance(command, RoomSync):
                await self._membership.sync(session, command, ack_id)
                return
            answer = await self._answer(session, name, command)
        except Unavailable as failure:
            self._complain(name, failure)
            answer = unavailable()
        except Exception:
            logger.exception("%s failed", name)
            answer = INTERNAL
        finally:
            figures.took(name, started)
        reply = refused(answer) if isinstance(answer, Rejection) else accepted(answer.data)
        self.answer(session, ack_id, reply)

    async def _answer(self, session: Session, name: str, command: Command) -> Answer:
        membership = self._membership
        match command:
            case RoomLeave():
                return await membership.leave(session)
            case RoomMembers():
                return await membership.members(session, command)
            case SysRefreshToken():
                return await self._refresh(session, command.token)
        service = self.parts.services.get(name.partition(":")[0])
        if service is None:
            return await self._perform(session, command)
        if not session.joined and name not in OPEN_TO_ALL:
            return Rejection(Code.NOT_IN_ROOM)
        return await service.perform(session.caller(), command)

    async def _perform(self, session: Session, command: Command) -> Answer:
        """Asks the room. Who asks what is there sees what it has done itself, though that comes to this
        node's copy by another way than the answer."""
        if isinstance(command, QUERIES) and session.channel is not None:
            await session.channel.reached(session.done_seq, OWN_WRITES_SECONDS)
        answer = await self.parts.kernel.rooms.perform(session.room_id, session.actor, command)
        if isinstance(answer, Done) and answer.seq > session.done_seq:
            session.done_seq = answer.seq
        return answer

    async def _refresh(self, session: Session, token: str) -> Answer:
        claims = self._doorway.claims(token)
        if isinstance(claims, Rejection):
            return claims
        if not self._same_seat(session, claims):
            return Rejection(Code.TOKEN_INVALID, "the token is for another user, room or device")
        self._membership.identify(session, claims)
        return Done({"expires_at": session.expires_at_ms})

    def _same_seat(self, session: Session, claims: Claims) -> bool:
        named = (claims.user_id, claims.room_id, claims.device_id)
        return named == (session.user_id, session.room_id, session.device_id)

    def _complain(self, name: str, failure: Unavailable) -> None:
        """Once a second at most: when a server is away, every command of every client says so."""
        now_ms = self.parts.now_ms()
        if now_ms - self._complained_ms >= 1000:
            self._complained_ms = now_ms
            logger.warning("%s: %s", name, failure)

    def answer(self, session: Session, ack_id: int | None, reply: Reply) -> None:
        self.parts.tap.ack(session.connection.sid, ack_id, reply)
        figures.answered(reply)
        session.connection.acknowledge(ack_id, reply)

    # -- endings -------------------------------------------------------------------------------------------

    def end(self, session: Session, reason: str) -> None:
        """The product ends this session: its client is told why, and does not come back by itself."""
        if session.ended is not None:
            return
        session.ended = reason
        if reason in SILENT:
            session.connection.close(Reason.REPLACED, resumable=True)
        elif reason != "room_closed" or not session.busy:
            self._send_away(session, reason)

    def _send_away(self, session: Session, reason: str) -> None:
        session.connection.send(Frames("sys:kicked", {"reason": reason}))
        session.connection.close(Reason.SERVER_DISCONNECT, resumable=False)

    def end_anywhere(self, connection_id: str, reason: str) -> None:
        """End a connection of any node."""
        session = self.parts.sessions.find(connection_id)
        if session is not None:
            self.end(session, reason)
        else:
            self.parts.background.spawn(
                self.parts.kernel.signals.to_connection(connection_id, END_SIGNAL, {"reason": reason})
            )

    def on_signal(self, name: str, connection_id: str | None, body: dict[str, Any]) -> None:
        """From another part or node: end a connection, or hand it a private event."""
        session = self.parts.sessions.by_connection.get(connection_id or "")
        if name == END_SIGNAL:
            session = self.parts.sessions.find(connection_id or "")
            if session is not None:
                self.end(session, str(body.get("reason")))
        elif session is not None and session.ended is None:
            session.connection.send(Frames(name, body))

    def on_fenced(self) -> None:
        """The others have given this node up: our clients are away for them and have to come in again."""
        for session in list(self.parts.sessions.by_connection.values()):
            session.connection.close(Reason.SERVER_SHUTDOWN, resumable=True)

    def begin_again(self, channel: Channel, members: list[Session]) -> None:
        """The room made a jump: each of these stands outside until it has got a snapshot."""
        self.parts.background.spawn(self._send_snapshots(channel, members))

    async def _send_snapshots(self, channel: Channel, members: list[Session]) -> None:
        """Some at a time, each with the room as it is at that moment, so that no other room waits."""
        for start in range(0, len(members), SNAPSHOTS_AT_ONCE):
            sent = [one for one in members[start : start + SNAPSHOTS_AT_ONCE] if self._is_in(one, channel)]
            for session in sent:
                assert channel.view is not None
                self._membership.send_snapshot(session, channel, channel.view)
                channel.readmit(session)
            records = self.parts.records
            with contextlib.suppress(Unavailable):  # who is cut off before the next mark takes a snapshot
                await asyncio.gather(*(records.save(one.record, one.connection_id) for one in sent))

    def _is_in(self, session: Session, channel: Channel) -> bool:
        return session.joined and session.channel is channel and session.ended is None

    # -- the clock -----------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Called once a second."""
        now_ms = self.parts.now_ms()
        for session, due in self.parts.expiries.due(now_ms):
            if due == "end":
                self.end(session, "token_expired")
            else:
                left_ms = session.expires_at_ms - now_ms
                session.connection.send(Frames("sys:token_expiring", {"in_ms": left_ms}))
        for user in self.parts.sessions.rested(now_ms):
            self.parts.background.spawn(self.letters.unfollow(user))
        for channel in self.channels.all():
            channel.tell_stats(now_ms)
            channel.age(now_ms)
        await self.channels.close_idle(now_ms)
