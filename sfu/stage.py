"""The audio of one room: who may speak, who is heard in which slot, how loud.

Listeners without a voice of their own share slots: one set per number of slots in use, so that a change of
speaker is one call for a thousand listeners. A listener who also speaks gets a seating of its own, without
its own voice; there are at most as many of those as seats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sfu.connections import ClientTransport, MediaConsumer, MediaProducer
from sfu.engine import Engine, Handle, Level
from sfu.speakers import VOICE, ActiveSpeaker, Loudness, Seating

SEATING_SECONDS = 0.04
"""Two frames: with the pre-roll, a first syllable is heard whole."""
LEVELS_SECONDS = 0.2
"""At most five times per second."""

SlotsChanged = Callable[[list[ClientTransport], list[str | None]], None]
LevelsHeard = Callable[[str, list[tuple[str, int]], str | None], None]


@dataclass(slots=True)
class Shared:
    """A set of slots that many listeners follow."""

    seating: Seating
    slots: list[Handle]
    listeners: dict[str, Listener] = field(default_factory=dict)


@dataclass(slots=True)
class Listener:
    """A transport with slots."""

    transport: ClientTransport
    consumers: list[MediaConsumer] = field(default_factory=list)
    own: Seating | None = None
    """Its own seating, while its user has a voice in the room."""
    shared: int = 0
    """The size of the set it follows; 0: none."""


class Stage:
    """One room's media."""

    def __init__(self, room_id: str, engine: Engine, on_slots: SlotsChanged, on_levels: LevelsHeard) -> None:
        self.room_id, self._engine = room_id, engine
        self._on_slots, self._on_levels = on_slots, on_levels
        self.producers: dict[str, MediaProducer] = {}
        self.speakers: frozenset[str] = frozenset()
        self._by_handle: dict[Handle, MediaProducer] = {}
        self._listeners: dict[str, Listener] = {}
        self._shared: dict[int, Shared] = {}
        self._loudness, self._active = Loudness(), ActiveSpeaker()
        self._seated_at = self._told_at = 0.0
        self._was_heard = False

    @property
    def is_empty(self) -> bool:
        return not self.producers and not self._listeners

    # --- who may speak -----------------------------------------------------------------------------------
    def set_speakers(self, users: frozenset[str]) -> None:
        """At once, at the way in."""
        if users == self.speakers:
            return
        self.speakers = users
        for producer in self.producers.values():
            self._grant(producer)
        self._seated_at = 0.0

    def _grant(self, producer: MediaProducer) -> None:
        allowed = producer.user_id in self.speakers
        if producer.is_allowed is not allowed:
            producer.is_allowed = allowed
            self._engine.set_speaking_right(producer.handle, allowed)
            if not allowed:
                self._loudness.forget(producer.handle)

    # --- producers ---------------------------------------------------------------------------------------
    def add_producer(self, producer: MediaProducer) -> None:
        self.producers[producer.id] = producer
        self._by_handle[producer.handle] = producer
        self._grant(producer)
        self._replace_listeners_of(producer.user_id)
        self._seated_at = 0.0

    def remove_producer(self, producer: MediaProducer) -> None:
        if self.producers.pop(producer.id, None) is None:
            return
        del self._by_handle[producer.handle]
        self._loudness.forget(producer.handle)
        self._engine.remove_producer(producer.handle)
        self._replace_listeners_of(producer.user_id)
        self._seated_at = 0.0

    # --- listeners with slots ----------------------------------------------------------------------------
    def add_slot(self, consumer: MediaConsumer) -> None:
        listener = self._listeners.setdefault(consumer.transport.id, Listener(consumer.transport))
        listener.consumers.append(consumer)
        listener.consumers.sort(key=lambda c: c.slot)
        self._place(listener)

    def remove_slot(self, consumer: MediaConsumer) -> None:
        listener = self._listeners.get(consumer.transport.id)
        if listener is None or consumer not in listener.consumers:
            return
        listener.consumers.remove(consumer)
        if listener.consumers:
            self._place(listener)
        else:
            self._leave_shared(listener)
            del self._listeners[consumer.transport.id]

    def _replace_listeners_of(self, user_id: str) -> None:
        for listener in self._listeners.values():
            if listener.transport.user_id == user_id:
                self._place(listener)

    def _place(self, listener: Listener) -> None:
        """Decide what the listener follows, and let it follow."""
        size = len(listener.consumers)
        self._leave_shared(listener)
        if any(p.user_id == listener.transport.user_id for p in self.producers.values()):
            before = listener.own
            if before is None or len(before.occupants) != size:
                listener.own = Seating(size)
            for consumer in listener.consumers:
                self._engine.follow(consumer.handle, None)
            self._follow_own(listener, [None] * size)
            self._seated_at = 0.0
            return
        listener.own, listener.shared = None, size
        shared = self._shared.get(size)
        if shared is None:
            slots = [self._engine.add_slot() for _ in range(size)]
            shared = self._shared[size] = Shared(Seating(size), slots)
            self._seated_at = 0.0
        shared.listeners[listener.transport.id] = listener
        for consumer, slot in zip(listener.consumers, shared.slots, strict=True):
            self._engine.follow(consumer.handle, slot)
        self._on_slots([listener.transport], self._names(shared.seating))

    def _leave_shared(self, listener: Listener) -> None:
        shared = self._shared.get(listener.shared)
        listener.shared = 0
        if shared is None:
            return
        shared.listeners.pop(listener.transport.id, None)
        if not shared.listeners:
            size = len(shared.slots)
            for slot in shared.slots:
                self._engine.remove_slot(slot)
            del self._shared[size]

    def _names(self, seating: Seating) -> list[str | None]:
        found = (self._by_handle.get(handle) for handle in seating.occupants if handle is not None)
        users = {producer.handle: producer.user_id for producer in found if producer is not None}
        return [None if handle is None else users.get(handle) for handle in seating.occupants]

    # --- time -------------------------------------------------------------------------------------------
    def hear(self, level: Level, now: float) -> None:
        self._loudness.observe(level, now)

    def tick(self, now: float) -> None:
        if now - self._seated_at < SEATING_SECONDS:
            return
        self._seated_at = now
        loudness = {
            p.handle: self._loudness.of(p.handle, now) for p in self.producers.values() if p.is_allowed
        }
        for shared in self._shared.values():
            self._seat_shared(shared, loudness, now)
        for listener in self._listeners.values():
            if listener.own is not None:
                self._seat_own(listener, loudness, now)
        active = self._active.update(loudness, now)
        if now - self._told_at >= LEVELS_SECONDS:
            self._told_at = now
            self._tell_levels(loudness, active)

    def _seat_shared(self, shared: Shared, loudness: dict[Handle, float], now: float) -> None:
        before = list(shared.seating.occupants)
        if not shared.seating.update(loudness, now):
            return
        for slot, old, new in zip(shared.slots, before, shared.seating.occupants, strict=True):
            if old != new:
                self._engine.set_slot(slot, new)
        transports = [listener.transport for listener in shared.listeners.values()]
        self._on_slots(transports, self._names(shared.seating))

    def _seat_own(self, listener: Listener, loudness: dict[Handle, float], now: float) -> None:
        seating = listener.own
        if seating is None:
            return
        user_id = listener.transport.user_id
        own = {p.handle for p in self.producers.values() if p.user_id == user_id}
        before = list(seating.occupants)
        if seating.update(loudness, now, own):
            self._follow_own(listener, before)

    def _follow_own(self, listener: Listener, before: list[Handle | None]) -> None:
        if listener.own is None:
            return
        for consumer, old, new in zip(listener.consumers, before, listener.own.occupants, strict=True):
            if old != new:
                self._engine.follow(consumer.handle, new)
        self._on_slots([listener.transport], self._names(listener.own))

    def _tell_levels(self, loudness: dict[Handle, float], active: Handle | None) -> None:
        heard = {
            self._by_handle[handle].user_id: round(value)
            for handle, value in loudness.items()
            if value >= VOICE and handle in self._by_handle
        }
        if not heard and not self._was_heard:
            return
        self._was_heard = bool(heard)
        speaker = self._by_handle.get(active) if active is not None else None
        self._on_levels(self.room_id, sorted(heard.items()), speaker.user_id if speaker else None)

    def close(self) -> None:
        for shared in self._shared.values():
            for slot in shared.slots:
                self._engine.remove_slot(slot)
        self._shared.clear()
        self._listeners.clear()
        self.producers.clear()
