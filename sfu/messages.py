"""What nodes and media workers say to each other, as signals between nodes.

A worker is addressed like a node, by its own name. A call has a number, by which its answer is found; an
answer that comes too late is dropped.
"""

from __future__ import annotations

from typing import Any

import msgspec

from state.media_commands import RtcCommand
from state.ports import Caller

CALL = "rtc:call"
ANSWER = "rtc:answer"
CLOSED = "rtc:closed"
TELL = "rtc:tell"


class Call(msgspec.Struct, frozen=True):
    """A command of a client, carried to the worker of its room."""

    number: int
    node: str
    caller: Caller
    command: RtcCommand


class Answered(msgspec.Struct, frozen=True):
    """What came of a call: data, or a refusal."""

    number: int
    data: dict[str, Any] | None = None
    code: str = ""
    message: str = ""


class Closed(msgspec.Struct, frozen=True):
    """A connection is gone; with `now` it will not come back."""

    caller: Caller
    now: bool = False


class Tell(msgspec.Struct, frozen=True):
    """An event for several connections of one node."""

    connections: list[str]
    name: str
    body: dict[str, Any]
