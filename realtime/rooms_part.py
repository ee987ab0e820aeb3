"""The room kernel as a part of the node."""

from __future__ import annotations

from state.kernel import Kernel


class RoomsPart:
    """Opens the kernel first and closes it last: everything else stands on it."""

    name = "rooms"

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    async def start(self) -> None:
        await self.kernel.open()

    async def drain(self, seconds: float) -> None:
        """Rooms have nobody to tell: the gateway does."""

    async def stop(self) -> None:
        await self.kernel.close()

    async def check(self) -> str | None:
        return None
