"""Who is heard: smoothing of RFC 6464 levels, the active speaker, and who sits in which slot.

Levels come in a few times per second as (loudest, mean) of what a producer sent since. Loudness rises at once
and falls slowly, so that a pause between two words keeps the place. A newcomer takes a slot only from one
who is clearly quieter, and only when it is speech; who left no packets for a while counts as silent. Pure:
time is an argument, producers are opaque handles.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sfu.engine import VOICE_LEVEL, Handle, Level

SILENT_LEVEL = 127
RISE = 0.6
"""Share of a new, louder value that counts at once."""
FALL_SECONDS = 0.6
"""Time in which loudness falls to a third."""
ABSENT_SECONDS = 0.4
"""Without packets for so long a producer is silent (an encoder's pauses have a packet every 400 ms)."""
VOICE = SILENT_LEVEL - VOICE_LEVEL
MARGIN = 6.0
"""A newcomer must be so much louder (in dB) than the one it replaces."""
HOLD_SECONDS = 0.8
"""A new occupant keeps its slot at least so long, unless it fell silent: the ear must follow."""
ACTIVE_SECONDS = 0.3
"""Somebody louder becomes the active speaker after so long."""


@dataclass(slots=True)
class Voice:
    """Loudness of one producer, 0 (silent) to 127."""

    loudness: float = 0.0
    at: float = 0.0
    heard_at: float = float("-inf")


class Loudness:
    """The smoothed loudness of a room's producers."""

    def __init__(self) -> None:
        self._voices: dict[Handle, Voice] = {}

    def observe(self, level: Level, now: float) -> None:
        voice = self._voices.setdefault(level.producer, Voice(at=now))
        value = SILENT_LEVEL - (level.loudest + level.mean) / 2
        faded = self._faded(voice, now)
        voice.loudness = faded + (value - faded) * RISE if value > faded else max(value, faded)
        voice.at = voice.heard_at = now

    def of(self, producer: Handle, now: float) -> float:
        voice = self._voices.get(producer)
        if voice is None or now - voice.heard_at > ABSENT_SECONDS:
            return 0.0
        return self._faded(voice, now)

    def forget(self, producer: Handle) -> None:
        self._voices.pop(producer, None)

    @staticmethod
    def _faded(voice: Voice, now: float) -> float:
        return float(voice.loudness * 3 ** (-max(0.0, now - voice.at) / FALL_SECONDS))


class ActiveSpeaker:
    """The one who is heard most, without flicker."""

    def __init__(self) -> None:
        self.current: Handle | None = None
        self._challenger: Handle | None = None
        self._since = 0.0

    def update(self, loudness: dict[Handle, float], now: float) -> Handle | None:
        best = max(loudness, key=lambda producer: loudness[producer], default=None)
        own = loudness.get(self.current, 0.0) if self.current is not None else 0.0
        if own < VOICE:
            self.current, own = None, 0.0
        if best is None or loudness[best] < VOICE or best == self.current:
            self._challenger = None
            return self.current
        if self.current is None:
            self.current, self._challenger = best, None
        elif loudness[best] > own + MARGIN / 2:
            if self._challenger != best:
                self._challenger, self._since = best, now
            elif now - self._since >= ACTIVE_SECONDS:
                self.current, self._challenger = best, None
        else:
            self._challenger = None
        return self.current


class Seating:
    """Who sits in which of a number of slots."""

    def __init__(self, size: int) -> None:
        self.occupants: list[Handle | None] = [None] * size
        self._seated_at = [0.0] * size

    def update(self, loudness: dict[Handle, float], now: float, without: Collection[Handle] = ()) -> bool:
        """Seat the loudest of these; True when a slot changed."""
        before = list(self.occupants)
        for index, occupant in enumerate(self.occupants):
            if occupant is not None and (occupant not in loudness or occupant in without):
                self.occupants[index] = None
        ranked = sorted((p for p in loudness if p not in without), key=lambda p: (-loudness[p], p))
        for newcomer in ranked[: len(self.occupants)]:
            if newcomer not in self.occupants:
                self._seat(newcomer, ranked, loudness, now)
        return before != self.occupants

    def _seat(
        self, newcomer: Handle, ranked: Sequence[Handle], loudness: dict[Handle, float], now: float
    ) -> None:
        for index, occupant in enumerate(self.occupants):
            if occupant is None:
                self._place(index, newcomer, now)
                return
        if loudness[newcomer] < VOICE:
            return
        top = set(ranked[: len(self.occupants)])
        replaceable = [
            (loudness[occupant], index)
            for index, occupant in enumerate(self.occupants)
            if occupant is not None
            and occupant not in top
            and (now - self._seated_at[index] >= HOLD_SECONDS or loudness[occupant] < VOICE)
        ]
        if not replaceable:
            return
        quietest, index = min(replaceable)
        if loudness[newcomer] > quietest + MARGIN:
            self._place(index, newcomer, now)

    def _place(self, index: int, newcomer: Handle, now: float) -> None:
        self.occupants[index], self._seated_at[index] = newcomer, now
