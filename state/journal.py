"""How commits stand in a room's stream and travel on its channel: MessagePack, the tag first.

One commit is one entry with all its events, so that the cost of a commit at the server does not grow with
the number of commands in it.
"""

from typing import Any

import msgspec
from msgspec import Struct

from state.events import Event, Recorded
from state.room import Message, Room


class Entry(Struct, frozen=True, array_like=True):
    """One event without its place."""

    at: int
    by: str | None
    event: Event


class Batch(Struct, frozen=True, array_like=True, tag="E"):
    """The events of one commit; the first has the number `first`."""

    epoch: str
    first: int
    entries: tuple[Entry, ...]

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.first + len(self.entries) - 1

    def recorded(self, after: int = 0) -> list[Recorded]:
        """The events behind a number, at their places."""
        return [
            Recorded(self.epoch, seq, entry.at, entry.by, entry.event)
            for seq, entry in enumerate(self.entries, self.first)
            if seq > after
        ]


class Lossy(Struct, frozen=True, array_like=True, tag="L"):
    """A message without a place."""

    name: str
    body: dict[str, Any]


class Reopened(Struct, frozen=True, array_like=True, tag="R"):
    """The room goes on under another epoch: whoever follows takes a new copy."""

    epoch: str


RoomMessage = Batch | Lossy | Reopened

_encoder = msgspec.msgpack.Encoder()
_room_decoder = msgspec.msgpack.Decoder(Room)
_message_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_room_message_decoder: msgspec.msgpack.Decoder[RoomMessage] = msgspec.msgpack.Decoder(RoomMessage)

encode = _encoder.encode
decode_message = _message_decoder.decode
decode_room_message = _room_message_decoder.decode


def batch_of(events: list[Recorded]) -> Batch:
    """The commit that holds these consecutive events."""
    entries = tuple(Entry(one.at, one.by, one.event) for one in events)
    return Batch(events[0].epoch, events[0].seq, entries)


def decode_room(document: bytes, epoch: str, seq: int) -> Room:
    """A document at the position that the store says; the one inside may be older."""
    room = _room_decoder.decode(document)
    if room.epoch == epoch and room.seq == seq:
        return room
    return msgspec.structs.replace(room, epoch=epoch, seq=seq)
