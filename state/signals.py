"""Messages to a node or to one connection on it, at most once."""

from collections.abc import Callable
from typing import Any, Protocol

# name, connection id (None: for the node itself), body
SignalHandler = Callable[[str, str | None, dict[str, Any]], None]


class Signals(Protocol):
    """Sends and receives signals. Connection ids are `<node>.<number>`."""

    async def to_connection(self, connection_id: str, name: str, body: dict[str, Any]) -> None:
        """Send to the node that holds this connection."""
        ...

    async def to_node(self, node: str, name: str, body: dict[str, Any]) -> None:
        """Send to a node."""
        ...

    def handle(self, name: str, handler: SignalHandler) -> None:
        """Say who handles the signals of a name here (`*`: all others). Must not block."""
        ...
