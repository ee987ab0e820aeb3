"""What is kept of a session so that its client can come back, to this node or another one.

The record is written when a client connects and when it joins, before it is told so, and not when it
disconnects: a node that is killed writes nothing any more. It is found under the private id that only
this client knows, and bound to the user. Beside it stands its owner, the connection that holds the session
now. Whoever resumes puts itself there in the same round trip and learns whom it has replaced: of two rivals
the later one wins, and the earlier one is closed, wherever it is.

It lives under a lease that the owner's node refreshes; after a disconnect, orderly or not, at least half
of it is left, which is the time a client may take to come back.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from realtime.positions import Mark
from state.rejections import Unavailable
from state.server import Server, ServerError

PRIVATE_ID_BYTES = 24  # a bearer secret: 192 bits
PRIVATE_ID = re.compile(r"[A-Za-z0-9_-]{32}")

_decoder = msgspec.msgpack.Decoder
_encode = msgspec.msgpack.Encoder().encode


class Record(Struct, frozen=True, array_like=True):
    """A session as it can be resumed. `epoch` and `seq` are the place in the room where it joined."""

    private_id: str
    sid: str
    user_id: str
    device_id: str | None
    room_id: str
    joined: bool
    epoch: str
    seq: int
    inbox: str
    marks: tuple[Mark, ...] = ()
    # the room started a new epoch while the client was in it: only a position of that epoch shows that
    # it knows
    reset: bool = False


_read = _decoder(Record).decode


def new_private_id() -> str:
    return secrets.token_urlsafe(PRIVATE_ID_BYTES)


class Records:
    """The records in Redis. `lease_seconds` is how long one stays without its node."""

    def __init__(self, server: Server, prefix: str, lease_seconds: int) -> None:
        self._server = server
        self._prefix = prefix
        self.lease_seconds = lease_seconds

    def _key(self, private_id: str) -> str:
        return f"{self._prefix}:{{s:{private_id}}}:session"

    def _device_key(self, user_id: str, device_id: str) -> str:
        return f"{self._prefix}:{{u:{user_id}}}:device:{device_id}"

    async def create(self, record: Record, owner: str) -> None:
        await self._save(record, owner, "1")

    async def save(self, record: Record, owner: str) -> None:
        """Replace the record, unless it has been forgotten or taken over meanwhile."""
        await self._save(record, owner, "0")

    async def _save(self, record: Record, owner: str, is_new: str) -> None:
        arguments = (owner, _encode(record), 2 * self.lease_seconds, is_new)
        await self._server.script("session_save", (self._key(record.private_id),), arguments)

    async def claim(self, private_id: str, owner: str) -> tuple[Record, str] | None:
        """Become the owner of a session; returns it with the owner before. None: there is none."""
        if PRIVATE_ID.fullmatch(private_id) is None:
            return None
        arguments = (owner, 2 * self.lease_seconds)
        held = await self._server.script("session_claim", (self._key(private_id),), arguments)
        if not held:
            return None
        try:
            return _read(held[0]), bytes(held[1]).decode()
        except msgspec.DecodeError:
            return None  # written by another version of this program

    async def claim_device(self, user_id: str, device_id: str, owner: str) -> str | None:
        """Become the one connection of a user's device; returns the connection that was it before."""
        key = self._device_key(user_id, device_id)
        before = await self._server.execute("SET", key, owner, "GET", "EX", 2 * self.lease_seconds)
        return None if before is None else bytes(before).decode()

    async def keep(self, records: Iterable[Record]) -> None:
        """Refresh the leases of sessions that are connected here."""
        seconds = 2 * self.lease_seconds
        commands: list[tuple[str, str, int]] = []
        for record in records:
            commands.append(("EXPIRE", self._key(record.private_id), seconds))
            if record.device_id is not None:
                commands.append(("EXPIRE", self._device_key(record.user_id, record.device_id), seconds))
        await self._quietly(commands)

    async def forget(self, record: Record) -> None:
        """The client left or was sent away: it may come back only as a new one."""
        await self._quietly([("DEL", self._key(record.private_id))])

    async def _quietly(self, commands: Sequence[tuple[str | int, ...]]) -> None:
        """For commands whose failure the leases make good."""
        calls = [self._server.execute(*command) for command in commands]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, Unavailable | ServerError):
                raise outcome
