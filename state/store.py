"""The store of rooms: what scripts say, in our words. The same code stands over a server and over its model.

A room is a document at a position (epoch, seq). Writing is compare and append; an epoch lives on exactly one
server process, so that a position names one history and no other. When a process was replaced, or a document
is gone, the store says `Lost`, and a recovery decides what the room goes on from.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from state import limits
from state.events import ChatDeleted, ChatMessage, Recorded
from state.journal import (
    Batch,
    Reopened,
    batch_of,
    decode_message,
    decode_room,
    decode_room_message,
    encode,
)
from state.keys import Keys
from state.ports import Answer, Done
from state.rejections import Rejection
from state.room import Message, Room, message_of
from state.server import Server, Value

CLOSED_KEPT_MS: Final = 86_400_000  # how long a closed room still answers that it is closed
_CLAIM_KEPT_MS: Final = 60_000
_SINCE_MAX: Final = limits.STREAM_KEPT * 2


class Loaded(Struct, frozen=True):
    """A room with its last messages, oldest first."""

    room: Room
    chat: tuple[Message, ...] = ()


class Missing(Struct, frozen=True):
    """There is no such room."""


class Lost(Struct, frozen=True):
    """Writes to the room may be gone: it has to be recovered first."""


class Fenced(Struct, frozen=True):
    """This node was given up by the others."""


class Stale(Struct, frozen=True):
    """Somebody else wrote: decide again on this."""

    room: Room


class Known(Struct, frozen=True):
    """These commands (by their place among those with an id) were answered before."""

    answers: dict[int, Answer]


class Committed(Struct, frozen=True):
    """It is done."""


class Wait(Struct, frozen=True):
    """It is the turn of a node that was too late too often; for so long at most."""

    milliseconds: int


class Reset(Struct, frozen=True):
    """The position belongs to another epoch, or is not kept any more."""


class Claimed(Struct, frozen=True):
    """The furthest copy offered so far, and how long ago the first was."""

    age_ms: int
    epoch: str
    seq: int


class Remembered(Struct, frozen=True):
    """A command that is to be answered once; None when this answer is not to be kept."""

    key: str
    answer: Answer | None


class Change(Struct, frozen=True):
    """What is to be committed: the events lead from `before` to `after`."""

    before: Room
    after: Room
    events: list[Recorded]
    remembered: list[Remembered]
    node: str = ""
    token: int = 0
    turn_ms: int = 0  # a wish: whoever was too late often is the next


CommitOutcome = Committed | Wait | Known | Stale | Missing | Lost | Fenced
_answer_decoder: Final[msgspec.msgpack.Decoder[tuple[Literal["y", "n"], msgspec.Raw]]] = (
    msgspec.msgpack.Decoder(tuple[Literal["y", "n"], msgspec.Raw])
)
_done_decoder: Final = msgspec.msgpack.Decoder(Done)
_rejection_decoder: Final = msgspec.msgpack.Decoder(Rejection)


def encode_answer(answer: Answer) -> bytes:
    """An answer as it is remembered."""
    return encode(("n" if isinstance(answer, Rejection) else "y", answer))


def decode_answer(raw: bytes) -> Answer:
    """A remembered answer."""
    kind, rest = _answer_decoder.decode(raw)
    return _done_decoder.decode(rest) if kind == "y" else _rejection_decoder.decode(rest)


class RoomStore:
    """Rooms on one server (or cluster, or model)."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.server = server
        self.keys = keys

    async def load(self, room_id: str, messages: int = 0) -> Loaded | Missing | Lost:
        """The room as it is."""
        keys = self.keys
        reply = await self.server.script(
            "load", (keys.room(room_id), keys.log(room_id), keys.claim(room_id)), (messages,)
        )
        if reply[0] != b"ok":
            return Missing() if reply[0] == b"missing" else Lost()
        room = decode_room(reply[3], reply[1].decode(), reply[2])
        return Loaded(room, tuple(decode_message(entry) for entry in reversed(reply[4])))

    async def create(self, room: Room, replaces: str = "") -> bool:
        """Open a room at its epoch; False when there is one of this id."""
        keys, room_id = self.keys, room.room_id
        names = (keys.room(room_id), keys.stream(room_id), keys.log(room_id), keys.claim(room_id))
        reopened = encode(Reopened(room.epoch))
        reply = await self.server.script(
            "create", names, (replaces, room.epoch, encode(room), keys.channel(room_id), reopened)
        )
        return bool(reply[0] == b"ok")

    async def commit(self, change: Change) -> CommitOutcome:
        """Make a batch of decisions true, or learn why not."""
        keys, room_id = self.keys, change.after.room_id
        names = [keys.room(room_id), keys.stream(room_id), keys.log(room_id), keys.fences(room_id)]
        names += [remembered.key for remembered in change.remembered]
        reply = await self.server.script("commit", names, self._commit_arguments(change))
        match reply[0]:
            case b"ok":
                return Committed()
            case b"stale":
                return Stale(decode_room(reply[3], reply[1].decode(), reply[2]))
            case b"known":
                pairs = zip(reply[1::2], reply[2::2], strict=True)
                return Known({index - 1: decode_answer(answer) for index, answer in pairs})
            case b"wait":
                return Wait(reply[1])
            case b"fenced":
                return Fenced()
            case b"missing":
                return Missing()
            case _:
                return Lost()

    def _commit_arguments(self, change: Change) -> list[Value]:
        before, after, events = change.before, change.after, change.events
        entries: list[Value] = []
        forgotten: list[Value] = []
        for recorded in events:
            if isinstance(recorded.event, ChatMessage):
                entries += (recorded.seq, encode(message_of(recorded, recorded.event)))
            elif isinstance(recorded.event, ChatDeleted):
                forgotten.append(seq_of_message(recorded.event.message_id))
        return [
            before.epoch,
            before.seq,
            change.node,
            change.token,
            after.seq,
            encode(after) if events else b"",
            encode(batch_of(events)) if events else b"",
            self.keys.channel(after.room_id),
            limits.STREAM_KEPT,
            limits.CHAT_KEPT,
            limits.COMMAND_MEMORY_MS,
            0 if after.closed_reason is None else CLOSED_KEPT_MS,
            limits.STREAM_KEPT_MS,
            change.turn_ms,
            len(entries) // 2,
            *entries,
            len(forgotten),
            *forgotten,
            *(b"" if one.answer is None else encode_answer(one.answer) for one in change.remembered),
        ]

    async def position(self, room_id: str) -> tuple[str, int] | Missing | Lost:
        """Where the room stands."""
        reply = await self.server.script("position", (self.keys.room(room_id),), ())
        if reply[0] == b"ok":
            return reply[1].decode(), reply[2]
        return Missing() if reply[0] == b"missing" else Lost()

    async def since(self, room_id: str, epoch: str, seq: int) -> list[Recorded] | Reset | Missing | Lost:
        """The events after a position, without a gap."""
        keys = self.keys
        reply = await self.server.script(
            "since", (keys.room(room_id), keys.stream(room_id)), (epoch, seq, _SINCE_MAX)
        )
        if reply[0] != b"ok":
            return Reset() if reply[0] == b"reset" else Missing() if reply[0] == b"missing" else Lost()
        events: list[Recorded] = []
        for commit in reply[2]:
            batch = decode_room_message(commit)
            if isinstance(batch, Batch) and batch.epoch == epoch:
                events += batch.recorded(after=seq)
        reached = events[-1].seq if events else seq
        if reached != reply[1] or len(events) != reached - seq:
            return Reset()
        return events

    async def history(self, room_id: str, before_seq: int | None, limit: int) -> list[Message]:
        """Kept messages before a number, oldest first."""
        if before_seq == 0:
            return []
        end = "+" if before_seq is None else f"({before_seq}-0"
        entries = await self.server.execute("XREVRANGE", self.keys.log(room_id), end, "-", "COUNT", limit)
        return [decode_message(fields[1]) for _, fields in reversed(entries)]

    async def message(self, room_id: str, message_id: str) -> Message | None:
        """One kept message."""
        place = f"{seq_of_message(message_id)}-0"
        entries = await self.server.execute("XRANGE", self.keys.log(room_id), place, place)
        if not entries:
            return None
        message = decode_message(entries[0][1][1])
        return message if message.message_id == message_id else None

    async def claim(
        self, room_id: str, copy: Room | None, chat: tuple[Message, ...]
    ) -> Claimed | tuple[str, int] | Missing:
        """Offer a copy after lost data; answers with the position when the room is in order."""
        keys = self.keys
        arguments: tuple[Value, ...] = ("", 0, b"", b"")
        if copy is not None:
            arguments = (copy.epoch, copy.seq, encode(copy), encode(chat))
        reply = await self.server.script(
            "claim", (keys.room(room_id), keys.claim(room_id)), (*arguments, _CLAIM_KEPT_MS)
        )
        match reply[0]:
            case b"current":
                return reply[1].decode(), reply[2]
            case b"claimed":
                return Claimed(reply[1], reply[2].decode(), reply[3])
            case _:
                return Missing()

    async def restore(self, room_id: str, claimed: Claimed, epoch: str, wait_ms: int) -> bool:
        """Reopen the room from the furthest copy under a new epoch; False: look at the claims again."""
        keys = self.keys
        entries = await self.server.execute("HGET", keys.claim(room_id), "entries")
        log: list[Value] = []
        for message in _chat_decoder.decode(entries) if entries else ():
            log += (message.seq, encode(message))
        names = (keys.room(room_id), keys.stream(room_id), keys.log(room_id), keys.claim(room_id))
        reopened = encode(Reopened(epoch))
        position = (claimed.epoch, claimed.seq, epoch, wait_ms)
        reply = await self.server.script("restore", names, (*position, keys.channel(room_id), reopened, *log))
        return bool(reply[0] != b"changed")


_chat_decoder: Final = msgspec.msgpack.Decoder(tuple[Message, ...])


def seq_of_message(message_id: str) -> int:
    """The place that a message id carries; 0 for one that we did not make."""
    tail = message_id.rpartition("-")[2]
    return int(tail) if tail.isascii() and tail.isdigit() and len(tail) <= 15 else 0
