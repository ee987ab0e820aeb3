"""Where a client stands: the string at the end of every event, and how it is understood later.

A client that comes back shows the last position it has seen. It has two sources of events with
positions of their own: its room (epoch and seq, the same for all members) and its user's inbox
(wallet, kicks). The frame of a room event is shared by thousands and cannot name a position in
each of their inboxes, so there are two forms:

    <epoch>:<seq>           a room event; what was seen of the inbox follows from the marks
    <epoch>:<seq>|<inbox>   the exact place in both; all inbox events carry it

A mark (epoch, seq, inbox) in the session's record says: whoever has seen a room event *after* seq has
seen the inbox up to `inbox`. It is written when an inbox event has been sent; until the record is
known to be stored, the room's frames for this one client carry the exact form. So there is no moment
at which a node may die and leave doubt about what the client has seen.

Pure.
"""

from __future__ import annotations

from msgspec import Struct

MARKS_KEPT = 32
SEQ_DIGITS = 16  # seq stays below 2**53: every JSON and Lua reader keeps it exact


class Mark(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    epoch: str
    seq: int
    inbox: str


class Position(Struct, frozen=True):
    """`epoch` is empty for a client that is in no room, `inbox` is None where the marks must tell."""

    epoch: str
    seq: int
    inbox: str | None = None

    def __str__(self) -> str:
        room = f"{self.epoch}:{self.seq}"
        return room if self.inbox is None else f"{room}|{self.inbox}"


def room_position(epoch: str, seq: int) -> str:
    return f"{epoch}:{seq}"


def parse(text: str) -> Position | None:
    """The position a client shows, or None for anything we have not sent."""
    if len(text) > 200:
        return None
    room, bar, inbox = text.partition("|")
    epoch, colon, digits = room.rpartition(":")
    if not colon or (bar and not inbox) or "|" in inbox:
        return None
    if not digits.isascii() or not digits.isdigit() or len(digits) > SEQ_DIGITS:
        return None
    return Position(epoch, int(digits), inbox if bar else None)


def marked(marks: tuple[Mark, ...], mark: Mark) -> tuple[Mark, ...]:
    """The marks with one more. A later mark at the same place replaces the earlier one."""
    kept = marks
    if kept and kept[-1].epoch == mark.epoch and kept[-1].seq == mark.seq:
        kept = kept[:-1]
    return (*kept, mark)[-MARKS_KEPT:]


def inbox_seen(marks: tuple[Mark, ...], position: Position) -> str | None:
    """What has been seen of the inbox at this position; None when the marks no longer reach back."""
    if position.inbox is not None:
        return position.inbox
    for mark in reversed(marks):
        if mark.epoch == position.epoch and mark.seq < position.seq:
            return mark.inbox
    return None
