"""Who has what in a worker: sessions, the port to rooms, and how a command refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sfu.connections import ClientTransport, MediaConsumer, MediaProducer
from sfu.stage import Stage
from state.ports import Caller
from state.rejections import Code, Rejection


class Refused(Exception):
    """Ends a command with a refusal; caught in `perform` and nowhere else."""

    def __init__(self, code: Code, message: str = "") -> None:
        super().__init__(message)
        self.rejection = Rejection(code, message)


@dataclass(slots=True)
class OfferPeer:
    """What the offers of one connection made."""

    transport: ClientTransport
    ufrag: str
    slots: dict[str, MediaConsumer] = field(default_factory=dict)
    mics: dict[str, MediaProducer] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """One user in one room."""

    user_id: str
    room_id: str
    transports: dict[str, ClientTransport] = field(default_factory=dict)
    peers: dict[str, OfferPeer] = field(default_factory=dict)
    """By connection."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a command is carried out."""

    session: Session
    stage: Stage
    caller: Caller


class Rooms(Protocol):
    """How the desk knows rooms: `sfu.following` has them from the rooms' streams."""

    async def open(self, room_id: str) -> Stage | None:
        """The room's stage, followed; None when there is no such room."""

    def stage(self, room_id: str) -> Stage | None:
        """Of an open room."""

    def is_seated(self, room_id: str, user_id: str) -> bool: ...

    def told_producer(self, producer: MediaProducer, room_id: str, added: bool) -> None:
        """A voice came, or went; everybody in the room is told."""
