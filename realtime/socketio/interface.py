"""The port between the wire and the product: what the wire tells, and what it can be asked to do.

The wire owns sockets, parsers, order and back-pressure; the product (an `Application`) owns identity, rooms
and meaning. Promises of the wire:

* CONNECT is held back until `on_connect` has returned. What was sent to the connection meanwhile follows it,
  and `Accept.replay` precedes it. Nothing runs between the return of `on_connect` and that write, so a
  coroutine that reads what was missed and joins its groups in its last synchronous step leaves neither gap
  nor overlap.
* `on_command` is called for one command of a client at a time, in the order of arrival; if it returns an
  awaitable the next one waits for it, and reading from that client stops when too many wait.
* `on_disconnect` is called exactly once for every `on_connect` that returned `Accept`, also when the client
  had gone before it returned.
* Everything sent to one connection, by itself or through groups, arrives in the order in which it was sent.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from realtime.socketio.connection import Connection
from realtime.socketio.frames import Frames
from realtime.socketio.group import Group

__all__ = ["Accept", "Application", "Connection", "Frames", "Group", "Recovery", "Refuse"]


class Recovery(msgspec.Struct, frozen=True):
    """What a returning client claims: its private id and the last position it has seen (None: none yet)."""

    pid: str
    offset: str | None


class Accept(msgspec.Struct, frozen=True):
    """The client is in. Resumed: `sid` and `pid` are the old ones and `replay` is what it missed. Otherwise
    both are new (`sid` None: the wire makes one)."""

    sid: str | None = None
    pid: str | None = None
    replay: Sequence[Frames] = ()


class Refuse(msgspec.Struct, frozen=True):
    """A CONNECT_ERROR with this message and `data`; the transport is closed after it."""

    message: str
    data: Mapping[str, Any] | None = None


class Application(Protocol):
    def on_connect(
        self, connection: Connection, auth: dict[str, Any], recovery: Recovery | None
    ) -> Awaitable[Accept | Refuse]: ...

    def on_command(
        self, connection: Connection, name: str, arguments: list[Any], ack_id: int | None, size_bytes: int
    ) -> Awaitable[None] | None: ...

    def on_disconnect(self, connection: Connection, reason: str) -> Awaitable[None] | None: ...
