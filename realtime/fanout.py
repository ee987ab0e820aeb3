"""From the room's stream to the sockets of its members on this node.

A channel is one room as this node serves it: it listens to the kernel's follower and turns every recorded
event into frames that all members share. Nothing is encoded per recipient and nothing is awaited: the
follower calls, the frames are built, the group writes them.

Three things are not the same for everybody:

* Some events are for few (requests for the admins, an invite for one user). For the others they are *passed
  over* (`state.wire`), so that every client sees a seq that grows by one and can notice a gap.
* A session that was just sent something personal gets its frames with an exact position until the mark of
  it is stored (see positions.py). It stands outside the group meanwhile.
* After a reset (new epoch, or a gap that cannot be mended) each member gets the state as it may see it.

The last frames are kept, encoded, for those who come back: after a cut that drops thousands, their replay
costs a write and no encoding. They are kept for as long as most take to come back and no longer: an event
costs about 2 kB here, and a hundred quiet rooms would else hold what was said in them hours ago.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from realtime import figures
from realtime.admission import Scope
from realtime.positions import room_position
from realtime.sessions import Session
from realtime.socketio.frames import Frames
from realtime.socketio.interface import Group
from realtime.tap import Tap
from state.events import (
    Concerned,
    Event,
    ModUserBanned,
    ModUserKicked,
    Recorded,
    RoomClosed,
    RoomStats,
    concerned,
)
from state.following import RoomView
from state.identity import Actor
from state.room import Room, is_admin, role_of
from state.wire import encode_event, encode_fields, passed_over

# Frames kept for replay per room; older ones are read back from the room's stream.
RING_EVENTS = 256
RING_MS = 30_000  # at least, and at most twice as long


class Sent(NamedTuple):
    """An event as it was sent: to everybody, or `frames` to those concerned and `passed` to the rest."""

    recorded: Recorded
    frames: Frames
    concerned: Concerned | None
    passed: Frames | None


class Endings(Protocol):
    """What the gateway does when the room itself ends a session."""

    def end(self, session: Session, reason: str) -> None: ...
    def begin_again(self, channel: Channel, members: list[Session]) -> None: ...


def sent_of(room: Room, recorded: Recorded) -> Sent:
    """The frames of an event; `room` is the document at or after it."""
    frames, few = _frames(room, recorded), concerned(recorded.event)
    return Sent(recorded, frames, few, None if few is None else _frames(room, passed_over(room, recorded)))


def _frames(room: Room, recorded: Recorded) -> Frames:
    name, body = encode_event(room.room_id, recorded)
    return Frames(name, body, room_position(recorded.epoch, recorded.seq))


def exactly(frames: Frames, inbox: str) -> Frames:
    """The same event with a position that also names the place in the inbox."""
    name, body, position = frames.data
    return Frames(name, body, f"{position}|{inbox}")


def excluded_by(event: Event, user_id: str) -> bool:
    """Whether this event ended the user's membership; who missed it can not go on as if it had not been."""
    if isinstance(event, ModUserKicked | ModUserBanned):
        return event.user_id == user_id
    return isinstance(event, RoomClosed)


class Channel:
    """One room on this node; a `RoomListener` of the kernel's followers."""

    def __init__(self, room_id: str, group: Group, scope: Scope, endings: Endings, tap: Tap) -> None:
        self.room_id = room_id
        self.group = group
        self.scope = scope
        self.view: RoomView | None = None
        # every session whose token names this room, joined or not
        self.sessions: dict[str, dict[str, Session]] = {}
        self._told_online = 0
        self._snapshot: dict[str, Any] | None = None
        self._snapshot_room: Room | None = None
        self._endings = endings
        self._tap = tap
        self._ring: deque[Sent] = deque(maxlen=RING_EVENTS)
        self._aged_ms = 0
        self._aged_seq = 0
        # who was put out by which event of the ring; None is everybody
        self._exclusions: deque[tuple[int, str | None]] = deque(maxlen=RING_EVENTS)
        self._exact: dict[Session, str] = {}
        self._token_admins: set[str] = set()
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []

    # -- sessions ------------------------------------------------------------------------------------------

    def attach(self, session: Session) -> None:
        session.channel = self
        self.sessions.setdefault(session.user_id, {})[session.connection_id] = session
        self.reconsider(session)

    def reconsider(self, session: Session) -> None:
        """The session's token names this role (from the start, or since it was refreshed)."""
        if is_admin(session.actor.role):
            self._token_admins.add(session.user_id)

    def detach(self, session: Session) -> None:
        self.leave(session)
        own = self.sessions.get(session.user_id)
        if own is not None:
            own.pop(session.connection_id, None)
            if not own:
                del self.sessions[session.user_id]
                self._token_admins.discard(session.user_id)
        session.channel = None

    def enter(self, session: Session) -> None:
        """From now on the session gets the room's events."""
        session.set_joined(True)
        self.group.add(session.connection)

    def leave(self, session: Session) -> None:
        session.set_joined(False)
        self._exact.pop(session, None)
        self.group.remove(session.connection)

    def members(self) -> list[Session]:
        return [session for own in self.sessions.values() for session in own.values() if session.joined]

    def snapshot(self, viewer: Actor) -> dict[str, Any]:
        """As the view's, made once for all who join between two events, while it is the same for all."""
        assert self.view is not None
        room = self.view.room
        if room.requests or room.invites:
            return self.view.snapshot(viewer)
        if self._snapshot is None or self._snapshot_room is not room:
            self._snapshot, self._snapshot_room = self.view.snapshot(viewer), room
        return self._snapshot

    # -- what a viewer may see -----------------------------------------------------------------------------

    def may_see(self, session: Session, few: Concerned) -> bool:
        if few.user_id == session.user_id:
            return True
        return few.admins and self.view is not None and is_admin(role_of(self.view.room, session.actor))

    def _concerned_sessions(self, few: Concerned) -> list[Session]:
        """The joined sessions that may see it: looked up by user, never by walking through the room."""
        users = set()
        if few.user_id is not None:
            users.add(few.user_id)
        if few.admins and self.view is not None:
            users.update(self._admins())
        found = [session for user_id in users for session in self.sessions.get(user_id, {}).values()]
        return [session for session in found if session.joined and self.may_see(session, few)]

    def _admins(self) -> Iterable[str]:
        """Who may be one: appointed by the room, or by the token."""
        assert self.view is not None
        room = self.view.room
        return (room.owner_id, *room.roles, *self._token_admins)

    # -- RoomListener --------------------------------------------------------------------------------------

    def on_events(self, view: RoomView, events: Sequence[Recorded]) -> None:
        self.view = view
        for recorded in events:
            sent = sent_of(view.room, recorded)
            self._ring.append(sent)
            self._tap.room_event(self.room_id, *sent.frames.data[:2])
            if sent.concerned is None:
                self.group.send(sent.frames)
            else:
                self._send_to_few(sent, sent.concerned)
            if self._exact:
                self._send_exactly(sent)
            self._obey(recorded)
        figures.passed_on(len(events), len(self.group) + len(self._exact))
        if self._awaited:
            self._wake()

    def on_reset(self, view: RoomView) -> None:
        self.view = view
        self._ring.clear()
        self._exclusions.clear()
        self._aged_seq = 0
        self._wake()
        self._exact.clear()
        members = self.members()
        for session in members:
            self.group.remove(session.connection)
        self._endings.begin_again(self, members)

    def readmit(self, session: Session) -> None:
        """It has got the state as it is now, and gets what follows from now on."""
        if session not in self._exact:
            self.group.add(session.connection)

    def on_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002
        frames = Frames(name, body)
        self.group.send_lossy(frames)
        for session in self._exact:
            session.connection.lossy(frames)

    def tell_stats(self, now_ms: int) -> None:
        """How many users are in the room, if that has changed since it was last told."""
        if self.view is None or self.view.room.online == self._told_online:
            return
        self._told_online = self.view.room.online
        name, body = encode_fields(RoomStats(online=self._told_online))
        self.on_lossy(self.room_id, name, body | {"room_id": self.room_id, "at": now_ms})

    def _send_to_few(self, sent: Sent, few: Concerned) -> None:
        assert sent.passed is not None
        viewers = [session for session in self._concerned_sessions(few) if session not in self._exact]
        for session in viewers:
            self.group.remove(session.connection)
        self.group.send(sent.passed)
        for session in viewers:
            session.connection.send(sent.frames)
            self.group.add(session.connection)

    def _send_exactly(self, sent: Sent) -> None:
        for session, inbox in self._exact.items():
            session.connection.send(exactly(self._shown(session, sent), inbox))

    def _obey(self, recorded: Recorded) -> None:
        """The room's own decisions on who may stay, carried out on every node as the event passes."""
        match recorded.event:
            case ModUserKicked(user_id=user_id) | ModUserBanned(user_id=user_id):
                self._exclusions.append((recorded.seq, user_id))
                reason = "kicked" if isinstance(recorded.event, ModUserKicked) else "banned"
                for session in list(self.sessions.get(user_id, {}).values()):
                    if session.joined or reason == "banned":
                        self._endings.end(session, reason)
            case RoomClosed():
                self._exclusions.append((recorded.seq, None))
                for session in [one for own in self.sessions.values() for one in own.values()]:
                    self._endings.end(session, "room_closed")
            case _:
                pass

    def excluded_since(self, user_id: str, seq: int) -> bool:
        """Whether the user's membership was ended by an event after `seq` that is still at hand."""
        return any(at > seq and whom in (None, user_id) for at, whom in self._exclusions)

    # -- exact positions -----------------------------------------------------------------------------------

    def exact_from(self, session: Session, inbox: str) -> None:
        """The session has been sent its inbox up to here; name that place in its frames for now."""
        if session.joined:
            if session not in self._exact:
                self.group.remove(session.connection)
            self._exact[session] = inbox

    def shared_again(self, session: Session) -> None:
        """The mark is stored: shared frames say enough again."""
        if self._exact.pop(session, None) is not None:
            self.group.add(session.connection)

    # -- waiting for the stream ------------------------------------------------------------------------------

    async def reached(self, seq: int, timeout_seconds: float) -> None:
        """Return once this node has seen the room at `seq`; another node may have shown it already."""
        if self.view is None or self.view.seq >= seq:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append((seq, future))
        await asyncio.wait([future], timeout=timeout_seconds)

    def _wake(self) -> None:
        assert self.view is not None
        waiting, self._awaited = self._awaited, []
        for seq, future in waiting:
            if self.view.seq < seq and not future.done():
                self._awaited.append((seq, future))
            elif not future.done():
                future.set_result(None)

    # -- replay --------------------------------------------------------------------------------------------

    def since(self, epoch: str, seq: int) -> list[Sent] | None:
        """The events after a position, when all of them are still at hand."""
        view = self.view
        if view is None or view.epoch != epoch or seq > view.seq:
            return None
        if seq == view.seq:
            return []
        ring = self._ring
        if not ring or ring[0].recorded.seq > seq + 1 or ring[0].recorded.epoch != epoch:
            return None
        return [sent for sent in ring if sent.recorded.seq > seq]

    def age(self, now_ms: int) -> None:
        """Let go of what was old already when this was last done; called every second or so."""
        if self.view is None or now_ms - self._aged_ms < RING_MS:
            return
        while self._ring and self._ring[0].recorded.seq <= self._aged_seq:
            self._ring.popleft()
        self._aged_ms, self._aged_seq = now_ms, self.view.seq

    def shown(self, session: Session, events: Iterable[Sent]) -> list[Frames]:
        """The frames of past events as this session may see them now."""
        return [sent.frames if sent.concerned is None else self._shown(session, sent) for sent in events]

    def _shown(self, session: Session, sent: Sent) -> Frames:
        if sent.concerned is None or self.may_see(session, sent.concerned):
            return sent.frames
        assert sent.passed is not None
        return sent.passed
