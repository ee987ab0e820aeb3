"""Which packets of a publisher to ask for again (RFC 4585): those that are missing, at once and a few times.

Every packet that arrives is the moment to look, so no timer is needed: speech comes every 20 ms, and where
nothing comes any more nothing is missing. What is asked for keeps its place when it comes (`sfu.continuity`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sfu.engine import ASK_AGAIN_SECONDS, ASKS, WANTED_PACKETS


@dataclass(slots=True)
class Missing:
    due: float
    asked: int = 0


class Wanted:
    """The missing packets of one stream; time is an argument."""

    __slots__ = ("_highest", "_missing", "asked")

    def __init__(self) -> None:
        self._highest: int | None = None
        self._missing: dict[int, Missing] = {}
        self.asked = 0

    def restart(self) -> None:
        """What comes next is the beginning: nothing before it is missed."""
        self._highest = None
        self._missing.clear()

    def packet(self, index: int, now: float) -> list[int]:
        """A packet came; the indexes to ask for now."""
        highest = index if self._highest is None else self._highest
        if index > highest + WANTED_PACKETS:
            self._missing.clear()  # a jump: the sender was away, or is another
        else:
            self._missing.update({gone: Missing(now) for gone in range(highest + 1, index)})
            for oldest in list(self._missing)[:-WANTED_PACKETS]:
                del self._missing[oldest]
        self._missing.pop(index, None)
        self._highest = max(index, highest)
        return [gone for gone, missing in list(self._missing.items()) if self._is_due(gone, missing, now)]

    def _is_due(self, index: int, missing: Missing, now: float) -> bool:
        if missing.due > now:
            return False
        if missing.asked == ASKS:
            del self._missing[index]
            return False
        missing.asked += 1
        missing.due = now + ASK_AGAIN_SECONDS
        self.asked += 1
        return True
