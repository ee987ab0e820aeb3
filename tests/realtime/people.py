"""The gateway's inner parts over a kernel in memory, with connections that only note what they are sent."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, cast

from realtime.admission import Admission
from realtime.assembly import rates
from realtime.background import Background
from realtime.expiry import Expiries
from realtime.fanout import Channel
from realtime.parts import Parts
from realtime.recovery import Record, Records, new_private_id
from realtime.sessions import Session, Sessions, User
from realtime.socketio.frames import Frames
from realtime.tap import Tap
from state.identity import Role
from state.settings import Gateway as Settings
from state.tokens import Claims
from tests.realtime.hub import HubNode
from tests.realtime.served import KEYRING

NOW_MS = 1_000_000


class Wire:
    """As much of a connection as the product looks at."""

    def __init__(self) -> None:
        self.sent: list[Frames] = []
        self.answers: list[dict[str, Any]] = []
        self.closed = False
        self.sid = "sid"
        self.state: Any = None

    def send(self, frames: Frames) -> None:
        self.sent.append(frames)

    lossy = send

    def acknowledge(self, _ack_id: int | None, reply: dict[str, Any]) -> None:
        self.answers.append(reply)

    def close(self, _reason: str, *, resumable: bool) -> None:
        self.closed = True

    @property
    def names(self) -> list[str]:
        return [frames.data[0] for frames in self.sent]

    @property
    def seqs(self) -> list[int]:
        return [frames.data[1]["seq"] for frames in self.sent]

    @property
    def positions(self) -> list[str | None]:
        return [frames.position for frames in self.sent]


class Everybody:
    """As much of a group: all members get what is sent, at once."""

    def __init__(self) -> None:
        self.members: list[Wire] = []

    def __len__(self) -> int:
        return len(self.members)

    def add(self, wire: Wire) -> None:
        if wire not in self.members:
            self.members.append(wire)

    def remove(self, wire: Wire) -> None:
        if wire in self.members:
            self.members.remove(wire)

    def send(self, frames: Frames) -> None:
        for wire in self.members:
            wire.send(frames)

    send_lossy = send


class Ended:
    """Notes whom the room has put out, and to whom it owes a snapshot."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.again: list[Session] = []

    def end(self, session: Session, reason: str) -> None:
        session.ended = reason
        self.reasons[session.connection_id] = reason

    def begin_again(self, _channel: Channel, members: list[Session]) -> None:
        self.again = members


def parts_of(node: HubNode, now_ms: Callable[[], int] = lambda: NOW_MS) -> Parts:
    sessions, numbers = Sessions(), itertools.count(1)
    return Parts(
        kernel=node.kernel(),
        services={},
        keyring=KEYRING,
        admission=Admission(rates(Settings()), now_ms()),
        records=Records(cast(Any, node), "t", 60),
        sessions=sessions,
        expiries=Expiries(sessions),
        background=Background(),
        tap=Tap(),
        replay_bytes=100_000,
        now_ms=now_ms,
        new_connection_id=lambda: f"n1.{next(numbers)}",
    )


def channel_of(parts: Parts, endings: Ended, room_id: str = "lounge") -> Channel:
    scope = parts.admission.room(NOW_MS)
    return Channel(room_id, cast(Any, Everybody()), scope, cast(Any, endings), parts.tap)


async def session_of(
    parts: Parts, user_id: str, *, role: Role = "member", room_id: str = "lounge"
) -> tuple[Session, Wire]:
    """A connection that has been accepted and has not joined."""
    issued, wire = int(time.time()), Wire()
    claims = Claims(user_id, room_id, role, "j", issued, issued + 3600)
    user = parts.sessions.users.setdefault(user_id, User(user_id, parts.admission.user(NOW_MS)))
    allowance = parts.admission.connection(NOW_MS)
    session = Session(parts.new_connection_id(), cast(Any, wire), claims, allowance, user)
    session.inbox_position = user.inbox_position
    session.record = Record(
        new_private_id(), "sid", user_id, None, room_id, False, "", 0, user.inbox_position
    )
    await parts.records.create(session.record, session.connection_id)
    parts.sessions.add(session)
    return session, wire
