"""Time as this process lived it, for what is promised in seconds. A machine that is busy with others and
makes us wait for its processor is no fault of the product.

async with Lived() as clock:
    before = clock.seconds
"""

from __future__ import annotations

import asyncio
import time

BEAT_SECONDS = 0.01


class Lived:
    """A beat that comes late counts as two at most."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Lived:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._beating is not None
        self._beating.cancel()

    async def _beat(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = time.monotonic()
            self.seconds += min(now - last, 2 * BEAT_SECONDS)
            last = now
