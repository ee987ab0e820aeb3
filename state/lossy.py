"""The lossy lane: levels and counts, at most once, without a place in the room's order."""

from typing import Any, Protocol


class LossyLane(Protocol):
    """Sends what may be dropped to all nodes that follow a room (`RoomListener.on_lossy`)."""

    async def publish_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        """Send once to whoever listens now. Never raises: what can not be sent is dropped."""
        ...
