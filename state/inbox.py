"""The stream of one user: private events (wallet, kicks), kept for a while, with its own position."""

from typing import Any, Protocol

from msgspec import Struct


class Letter(Struct, frozen=True):
    """One private event at its place in the user's stream."""

    position: str
    name: str
    body: dict[str, Any]


class InboxListener(Protocol):
    """Told of the letters of users that this node follows, in order."""

    def on_letters(self, user_id: str, letters: list[Letter]) -> None:
        """These came in. Must not block."""
        ...


class Inbox(Protocol):
    """Post to users, follow those who are connected here."""

    async def post(self, user_id: str, name: str, body: dict[str, Any]) -> str:
        """Keep a private event and ring the nodes that follow the user; returns its position."""
        ...

    async def follow(self, user_id: str, listener: InboxListener) -> str:
        """Hear the user's letters from now on; returns the present position."""
        ...

    async def unfollow(self, user_id: str, listener: InboxListener) -> None:
        """Stop."""
        ...

    async def since(self, user_id: str, position: str) -> list[Letter] | None:
        """The letters after a position, or None when they are not kept any more."""
        ...
