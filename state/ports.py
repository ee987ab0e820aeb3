"""The narrow doors between parts that must not know each other.

Money and media answer commands of their own; the composition root hands them to the gateway as services
behind one Protocol. What an answer is, is said here once for all of them.
"""

from typing import Any, Protocol

from msgspec import Struct

from state.commands import Command
from state.identity import Actor
from state.rejections import Rejection


class Done(Struct, frozen=True):
    """A command was carried out. `data` goes into the acknowledgement; the position is the room's."""

    data: dict[str, Any]
    epoch: str = ""
    seq: int = 0


Answer = Done | Rejection


class Caller(Struct, frozen=True):
    """A connection that asks for something."""

    connection_id: str
    user: Actor
    room_id: str


class CommandService(Protocol):
    """Answers the commands of one domain."""

    async def perform(self, caller: Caller, command: Command) -> Answer:
        """Carry out one command; raises Unavailable when a server behind it does not answer."""
        ...

    async def connection_closed(self, caller: Caller) -> None:
        """The connection is gone: let go of what it held."""
        ...
