"""The local members of one room, and how an event reaches all of them.

Events of one tick are joined: `send` only appends, and at the end of the tick each member gets them as one
write of one shared `bytes`. The loop over the members has no task, queue, copy or timer in it; those whose
socket takes everything are served by one call for a whole slice of the room.

A room that is too large for one go is served in slices, in turn with the other rooms, so that the loop is
never held for more than the budget; what is sent meanwhile joins the next batch. Two numbers keep the order
whatever happens between the slices: each member has the number of its joining, and each event the number of
the youngest member that is to get it. A member that joins gets no earlier event. A member that leaves, or is
sent something personal, first gets what it is owed, and `served` remembers that it had it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from array import array
from collections import deque
from typing import NamedTuple, Protocol

from realtime.engine.corks import Corks
from realtime.engine.lines import SendEach, each_for_itself
from realtime.engine.reasons import Reason
from realtime.engine.session import Session
from realtime.socketio.frames import Frames

logger = logging.getLogger(__name__)
BUDGET_SECONDS = 0.002
SLICE = 64  # members between two looks at the clock: about a third of a millisecond
ALONE = 1  # for whom the call into C costs more than it saves
# Turns of the loop from an event to its sending. The answer to the command that caused it passes through two
# tasks meanwhile, and arrives in time to leave in the same write.
TURNS = 3


class Member(Protocol):
    """The Socket.IO side of a session, as its groups see it."""

    session: Session
    packed: bool  # its parser: msgpack, or JSON
    groups: tuple[Group, ...]


class Client(Protocol):
    @property
    def peer(self) -> Member: ...


class Batch:
    """Events that leave together. `marks[i]` is the youngest member that gets event i."""

    __slots__ = ("events", "lossy", "marks", "served", "some_lossy")

    def __init__(self) -> None:
        self.events: list[Frames] = []
        self.marks: list[int] = []
        self.lossy: list[bool] = []
        self.some_lossy = False
        self.served: dict[Session, int] = {}  # how many events a member has had ahead of its turn

    def append(self, frames: Frames, mark: int, lossy: bool) -> None:
        self.events.append(frames)
        self.marks.append(mark)
        self.lossy.append(lossy)
        self.some_lossy |= lossy

    def wire(self, packed: bool, *, reliable_only: bool = False) -> bytes:
        if len(self.events) == 1 and not reliable_only:
            return self.events[0].wire(packed)
        return b"".join(
            [
                frames.wire(packed)
                for frames, lossy in zip(self.events, self.lossy, strict=True)
                if not (lossy and reliable_only)
            ]
        )

    def owed(self, session: Session, joined: int, packed: bool) -> bytes:
        """What this member has not had yet; from now on it has."""
        start = self.served.get(session, 0)
        self.served[session] = len(self.events)
        while start < len(self.events) and self.marks[start] < joined:
            start += 1
        return b"".join(
            [
                self.events[index].wire(packed)
                for index in range(start, len(self.events))
                if session.healthy or not self.lossy[index]
            ]
        )


class Slice(NamedTuple):
    """Some members of a room with the same parser, in the order of their joining."""

    packed: bool
    sessions: list[Session]
    joins: list[int]


class Fanout:
    """Serves the rooms that have something to send, in turn and within the budget of each tick."""

    def __init__(self, send_each: SendEach, budget_seconds: float = BUDGET_SECONDS) -> None:
        self.send_each, self.budget_seconds = send_each, budget_seconds
        self._queue: deque[Group] = deque()
        self._scheduled = False
        self.corks = Corks()  # the engine's own as soon as there is one

    def add(self, group: Group) -> None:
        self._queue.append(group)
        if not self._scheduled:
            self._schedule(TURNS)

    def _schedule(self, turns: int) -> None:
        self._scheduled = self.corks.deferred = True
        asyncio.get_running_loop().call_soon(self._turn, turns - 1)

    def _turn(self, turns: int) -> None:
        if turns:
            self._schedule(turns)
        else:
            self._run()

    def _run(self) -> None:
        self._scheduled = self.corks.deferred = False
        deadline = time.monotonic() + self.budget_seconds
        while self._queue:
            group = self._queue.popleft()
            try:
                done = group.step(deadline)
            except Exception:  # an event that cannot be encoded must not silence the room
                logger.exception("fan-out failed")
                done = group.forget_batches()
            if not done:
                self._queue.append(group)
            if time.monotonic() >= deadline:
                break
        self.corks.flush()
        if self._queue:
            self._schedule(1)

    def deliver(self, batch: Batch, members: Slice) -> None:
        whole = batch.wire(members.packed)
        reliable = batch.wire(members.packed, reliable_only=True) if batch.some_lossy else whole
        sessions, oldest_mark, served = members.sessions, batch.marks[0], batch.served
        if served or members.joins[-1] > oldest_mark:
            sessions = []
            for session, joined in zip(members.sessions, members.joins, strict=True):
                if joined > oldest_mark or session in served:
                    write(session, batch.owed(session, joined, members.packed))
                else:
                    sessions.append(session)
        lines = array("i", [session.line for session in sessions])
        send_each = self.send_each if len(lines) > ALONE else each_for_itself
        if send_each(lines, whole):
            for session, taken in zip(sessions, lines, strict=True):
                if taken < len(whole):
                    write(session, whole[taken:] if taken or session.healthy else reliable)


def write(session: Session, wire: bytes) -> None:
    if wire:
        try:
            session.write(wire)
        except Exception:  # one broken transport must not stop the others
            asyncio.get_running_loop().call_soon(session.abort, Reason.TRANSPORT_ERROR)


class Group:
    __slots__ = ("_fanout", "_joins", "_pending", "_reached", "_sending", "_tables", "_targets", "busy")

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        # by parser: session -> number of its joining; a dict keeps that order
        self._tables: tuple[dict[Session, int], dict[Session, int]] = ({}, {})
        self._joins = 0
        self.busy = False  # something is to be sent: this room is in the fan-out's queue
        self._pending: Batch | None = None
        self._sending: Batch | None = None  # what is served in slices, to `_targets`
        self._targets: list[Slice] = []
        self._reached = [0, 0]  # by parser: the number of the last member served of `_sending`

    def __len__(self) -> int:
        return len(self._tables[False]) + len(self._tables[True])

    def __contains__(self, client: object) -> bool:
        peer = getattr(client, "peer", None)
        return peer is not None and peer.session in self._tables[peer.packed]

    def add(self, client: Client) -> None:
        peer = client.peer
        table = self._tables[peer.packed]
        if peer.session not in table:
            self._joins += 1
            table[peer.session] = self._joins
            peer.groups = (*peer.groups, self)

    def remove(self, client: Client) -> None:
        peer = client.peer
        if peer.session not in self._tables[peer.packed]:
            return
        if self.busy:
            owed = self.owed(peer.session, peer.packed)
            if owed:
                peer.session.write(owed)
        del self._tables[peer.packed][peer.session]
        peer.groups = tuple(group for group in peer.groups if group is not self)

    def sessions(self) -> list[Session]:
        return [*self._tables[False], *self._tables[True]]

    def send(self, frames: Frames) -> None:
        self._append(frames, False)

    def send_lossy(self, frames: Frames) -> None:
        """Group that are behind do not get it."""
        self._append(frames, True)

    def _append(self, frames: Frames, lossy: bool) -> None:
        if self._pending is None:
            if not self:
                return
            self._pending = Batch()
            if not self.busy:
                self.busy = True
                self._fanout.add(self)
        self._pending.append(frames, self._joins, lossy)

    def owed(self, session: Session, packed: bool) -> bytes:
        """Takes what this member still has to get, before something else is written to it."""
        joined = self._tables[packed][session]
        owed = b""
        if self._sending is not None and joined > self._reached[packed]:
            owed = self._sending.owed(session, joined, packed)
        if self._pending is not None:
            owed += self._pending.owed(session, joined, packed)
        return owed

    def step(self, deadline: float) -> bool:
        """Serve some members, all of them if that fits; True when nothing is left to do."""
        if self._sending is None:
            batch, self._pending = self._pending, None
            if batch is not None and len(self) <= SLICE:
                for packed, table in ((False, self._tables[False]), (True, self._tables[True])):
                    if table:
                        self._fanout.deliver(batch, Slice(packed, list(table), list(table.values())))
            elif batch is not None:
                self._start(batch)
        if self._sending is not None:
            self._slices(self._sending, deadline)
        self.busy = self._sending is not None or self._pending is not None
        return not self.busy

    def flush(self) -> None:
        """Serve everybody now, for a caller who needs an order between groups."""
        while not self.step(math.inf):
            pass

    def forget_batches(self) -> bool:
        self._pending = self._sending = None
        self._targets, self.busy = [], False
        return True

    def _start(self, batch: Batch) -> None:
        self._sending, self._reached = batch, [0, 0]
        for packed in (False, True):
            sessions, joins = list(self._tables[packed]), list(self._tables[packed].values())
            for at in range(0, len(sessions), SLICE):
                self._targets.append(Slice(packed, sessions[at : at + SLICE], joins[at : at + SLICE]))
        self._targets.reverse()

    def _slices(self, batch: Batch, deadline: float) -> None:
        while self._targets:
            members = self._targets.pop()
            self._fanout.deliver(batch, members)
            self._reached[members.packed] = members.joins[-1]
            if time.monotonic() >= deadline:
                break
        if not self._targets:
            self._sending = None
