"""One timer for all sessions: a hashed wheel of deadlines.

An item sits in exactly one slot. Deadlines are lazy: moving one later only changes the item's own numbers,
and when its old slot fires the item is put where it belongs now. So a PONG costs one attribute write, and ten
thousand idle clients cost one timer of the event loop.
"""

import asyncio
import math
from typing import Protocol


class Timed(Protocol):
    slot: int

    def tick(self, now: float) -> float | None:
        """Do what is due; the next deadline, or None when there is none."""
        ...


class Wheel:
    """An item may fire up to one `resolution` early or late: early is caught by `reached`."""

    def __init__(self, resolution: float) -> None:
        self.resolution = resolution
        self._slots: dict[int, set[Timed]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._next_slot = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def now(self) -> float:
        return (self._loop or asyncio.get_running_loop()).time()

    def reached(self, now: float, deadline: float) -> bool:
        return now + self.resolution >= deadline

    def add(self, item: Timed, deadline: float) -> None:
        if self._handle is None:
            self._start()
        slot = max(int(deadline / self.resolution), self._next_slot)
        item.slot = slot
        members = self._slots.get(slot)
        if members is None:
            self._slots[slot] = {item}
        else:
            members.add(item)

    def discard(self, item: Timed) -> None:
        members = self._slots.get(item.slot)
        if members is not None:
            members.discard(item)

    def move(self, item: Timed, deadline: float) -> None:
        """Needed only for a deadline that is earlier than the item's slot."""
        self.discard(item)
        self.add(item, deadline)

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._next_slot = math.floor(self._loop.time() / self.resolution) + 1
        self._arm()

    def _arm(self) -> None:
        assert self._loop is not None
        self._handle = self._loop.call_at(self._next_slot * self.resolution, self._turn)

    def _turn(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        last = int(now / self.resolution)
        while self._next_slot <= last:  # catches up after a stall of the loop
            items = self._slots.pop(self._next_slot, ())
            self._next_slot += 1
            for item in items:
                deadline = item.tick(now)
                if deadline is not None:
                    self.add(item, deadline)
        if self._slots:
            self._arm()
        else:
            self._handle = None
