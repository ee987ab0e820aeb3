"""A node of the simulation: the real kernel in a process of its own, and a thin gateway for its users.

The gateway does what a node must do with what the kernel gives it, and nothing more: admit, join, replay what
was missed, hand on events, and drop everybody when the node was given up.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from state.commands import AnnounceGift
from state.events import Recorded
from state.following import RoomView
from state.identity import SYSTEM, Actor, Profile
from state.kernel import Environment, Kernel
from state.ports import Answer
from state.rejections import Code, Rejection, Unavailable
from state.settings import Settings
from state.transitions import admit
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.loop import Process
from tests.simulation.network import Host, Link, Weather


class Session:
    """One connection of a user: a position, and what reached it since."""

    def __init__(self, node: SimNode, connection_id: str, actor: Actor, room_id: str) -> None:
        self.node = node
        self.connection_id = connection_id
        self.actor = actor
        self.room_id = room_id
        self.epoch = ""
        self.seq = 0
        self.open = False
        self.received: list[Recorded] = []

    def begin(self, view: RoomView, missed: list[Recorded] | None) -> None:
        """In one step: what was missed, or a snapshot, and from then on everything."""
        if missed is None:
            self.epoch, self.seq = view.epoch, view.seq
        for recorded in missed or ():
            self.take(recorded)
        if (self.epoch, self.seq) != (view.epoch, view.seq):
            raise Violation(f"{self.actor.user_id} resumed at {self.seq}, the room is at {view.seq}")
        self.open = True

    def take(self, recorded: Recorded) -> None:
        if recorded.epoch != self.epoch or recorded.seq != self.seq + 1:
            told = f"{recorded.epoch}:{recorded.seq} after {self.epoch}:{self.seq}"
            raise Violation(f"{self.actor.user_id} in {self.room_id} missed or met twice: {told}")
        self.seq = recorded.seq
        self.received.append(recorded)


class RoomOfNode:
    """The listener of one room on one node."""

    def __init__(self, node: SimNode, room_id: str) -> None:
        self.node = node
        self.room_id = room_id
        self.sessions: dict[str, Session] = {}
        self.epoch = ""

    def on_events(self, view: RoomView, events: list[Recorded]) -> None:
        for recorded in events:
            for session in self.sessions.values():
                session.take(recorded)
            self.node.ledger.witness(self.room_id, recorded)
        self.node.ledger.agree(view.room)

    def on_reset(self, view: RoomView) -> None:
        """A jump: only to another epoch, since within one the stream has all that was missed."""
        if view.epoch == self.epoch:
            raise Violation(f"{self.node.name} took {self.room_id} anew at {view.seq}, within one epoch")
        self.epoch = view.epoch
        self.node.ledger.agree(view.room)
        for session in self.sessions.values():
            session.epoch, session.seq = view.epoch, view.seq

    def on_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        """Has no place, so it has no rule."""


class SimNode:
    def __init__(
        self,
        name: str,
        host: Host,
        weather: Weather,
        settings: Settings,
        ledger: Ledger,
        now_ms: Callable[[], int],
    ) -> None:
        self.name = name
        self.ledger = ledger
        self.process = Process(name)
        self.link = Link(host, weather, self.process)
        rng = random.Random(name)
        self.kernel = Kernel(self.link, settings, name, Environment(now_ms, rng.randbytes))
        self.rooms: dict[str, RoomOfNode] = {}
        self.now_ms = now_ms
        self.kernel.audience.on_fenced(self.drop_everybody)

    async def open(self) -> None:
        await self.process.start(self.kernel.open())

    async def kill(self) -> None:
        self.link.die()
        await self.process.kill()

    def drop_everybody(self) -> None:
        for room in self.rooms.values():
            for session in room.sessions.values():
                session.open = False
            room.sessions.clear()

    # --- What a gateway does, in the node's own process -----------------------------------------------------

    async def join(self, session: Session, position: tuple[str, int] | None) -> Rejection | None:
        room_id = session.room_id
        listener = self.rooms.setdefault(room_id, RoomOfNode(self, room_id))
        view = await self.kernel.followers.watch(room_id, listener)
        if view is None:
            # Its document is lost and nobody has offered a copy yet; a user tries again.
            return Rejection(Code.ROOM_NOT_FOUND)
        refused = admit(view.room, session.actor, None, self.now_ms())
        token = self.kernel.lease.token
        if refused is None:
            profile = Profile(session.actor.user_id, role=session.actor.role)
            joined = await self.kernel.audience.join(room_id, session.connection_id, profile, capacity=1000)
            refused = joined if isinstance(joined, Rejection) else None
        if refused is not None:
            return refused
        listener.epoch = view.epoch
        missed = None if position is None else await self._missed(view, *position)
        if missed is not None and position is not None:
            session.epoch, session.seq = position
        if self.kernel.lease.token != token:
            raise Unavailable("this node was given up while somebody came in")
        session.begin(view, missed)
        listener.sessions[session.connection_id] = session
        return None

    async def _missed(self, view: RoomView, epoch: str, seq: int) -> list[Recorded] | None:
        """What lies between a position and the copy, as it is when this returns; None: take a snapshot."""
        events = await self.kernel.rooms.events_since(view.room.room_id, epoch, seq)
        if events is None or view.epoch != epoch or view.seq < seq:
            return None
        known = [recorded for recorded in events if recorded.seq <= view.seq]
        return known if len(known) == view.seq - seq else None

    async def leave(self, session: Session, *, broke: bool) -> None:
        session.open = False
        self.rooms[session.room_id].sessions.pop(session.connection_id, None)
        act = self.kernel.audience.drop if broke else self.kernel.audience.leave
        await act(session.room_id, session.connection_id)

    async def perform(self, session: Session, command: Any, command_id: str) -> Answer:
        actor = SYSTEM if isinstance(command, AnnounceGift) else session.actor
        return await self.kernel.rooms.perform(session.room_id, actor, command, command_id=command_id)
