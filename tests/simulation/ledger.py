"""What everybody saw, in one place: the first witness of a position fixes it, all others must agree.

Checked with every event on every node: one event and one state per position, one user per seat and one seat
per user, and no text said twice.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from state.events import ChatMessage, GiftSent, Recorded
from state.room import Room

_encode = msgspec.msgpack.Encoder().encode
Position = tuple[str, str, int]


class Violation(AssertionError):
    """An invariant does not hold."""


class Ledger:
    def __init__(self) -> None:
        self.events: dict[Position, bytes] = {}
        self.states: dict[Position, bytes] = {}
        self.said: dict[tuple[str, int], Position] = {}
        self.losses = 0
        self._losses_when_written: dict[Position, int] = {}

    def written(self, room_id: str, epoch: str, first: int, last: int) -> None:
        """The server took a commit with these numbers."""
        for seq in range(first, last + 1):
            self._losses_when_written[room_id, epoch, seq] = self.losses

    def witness(self, room_id: str, recorded: Recorded) -> None:
        """An event as one node applied it."""
        position = room_id, recorded.epoch, recorded.seq
        content = _encode(recorded)
        if self.events.setdefault(position, content) != content:
            raise Violation(f"two events at {position}: {self.events[position]!r} and {content!r}")
        if isinstance(recorded.event, ChatMessage):
            self._heard(recorded.event.text, position)
        elif isinstance(recorded.event, GiftSent):
            self._heard(recorded.event.transaction_id, position)

    def agree(self, room: Room) -> None:
        """A copy of a room at its position."""
        position = room.room_id, room.epoch, room.seq
        state = blake2b(_encode(room), digest_size=8).digest()
        if self.states.setdefault(position, state) != state:
            raise Violation(f"two states at {position}")
        check_seats(room)

    def _heard(self, text: str, position: Position) -> None:
        """A loss between two writings may have taken the first, or the memory that it was answered."""
        first = self.said.setdefault((text, self._losses_when_written[position]), position)
        if first != position:
            raise Violation(f"{text!r} was said twice: at {first} and at {position}")


def check_seats(room: Room) -> None:
    seated = [seat.user.user_id for seat in room.seats if seat.user is not None]
    if len(seated) != len(set(seated)):
        raise Violation(f"{room.room_id} at {room.seq}: a user has two seats: {seated}")
    if [seat.index for seat in room.seats] != list(range(len(room.seats))):
        raise Violation(f"{room.room_id} at {room.seq}: the seats are out of order")
    if room.settings.seat_count != len(room.seats):
        raise Violation(f"{room.room_id} at {room.seq}: {len(room.seats)} seats")
    invited = [invite.index for invite in room.invites]
    if len(invited) != len(set(invited)):
        raise Violation(f"{room.room_id} at {room.seq}: a seat is held for two: {invited}")
