"""The lossy lane: levels and counts, at most once, without a place in the room's order."""

from typing import Any

from state.journal import Lossy, encode
from state.keys import Keys
from state.rejections import Unavailable
from state.server import Server


class LossyLane:
    """Sends what may be dropped to all nodes that follow a room (`RoomListener.on_lossy`)."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        self.dropped = 0

    async def publish_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        """Send once to whoever listens now. Never raises: what can not be sent is dropped."""
        try:
            await self._server.publish(self._keys.channel(room_id), encode(Lossy(name, body)))
        except Unavailable:
            self.dropped += 1
