"""A worker's rooms: each follows its room's stream, from which it knows who may speak and who has to go."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog

from sfu.connections import ClientTransport, MediaProducer
from sfu.engine import Engine, Handle
from sfu.messages import TELL, Tell
from sfu.stage import Stage
from state.events import MemberBatch, MemberLeft, ModUserBanned, ModUserKicked, Recorded, RoomClosed
from state.following import Followers, RoomView
from state.ids import node_of
from state.lossy import LossyLane
from state.rejections import Unavailable
from state.room import publishers, seat_of
from state.signals import Signals

log = structlog.get_logger("sfu.rooms")
OUTBOX = 20_000
"""Messages to clients that wait for Redis; what comes on top is dropped: all are of the lossy kind."""
IDLE_SECONDS = 30.0
LEFT = "left"
Out = Callable[[str, str | None], None]
"""(room, user): a user, or everybody (None), has to leave."""


@dataclass(slots=True)
class Followed:
    """One room, as the followers' listener."""

    stage: Stage
    on_out: Out
    view: RoomView | None = None
    """None until the first is there."""
    idle_since: float | None = None

    def on_events(self, view: RoomView, events: list[Recorded]) -> None:
        self.view = view
        self.stage.set_speakers(publishers(view.room))
        for recorded in events:
            event = recorded.event
            if isinstance(event, (ModUserKicked, ModUserBanned)):
                self.on_out(self.stage.room_id, event.user_id)
            elif isinstance(event, MemberLeft):
                self._gone(event.user_id, event.reason)
            elif isinstance(event, MemberBatch):
                for departure in event.left:
                    self._gone(departure.user_id, departure.reason)
            elif isinstance(event, RoomClosed):
                self.on_out(self.stage.room_id, None)

    def _gone(self, user_id: str, reason: str) -> None:
        """Who left on purpose hears no more; who was only cut off comes back to its transports."""
        if reason == LEFT:
            self.on_out(self.stage.room_id, user_id)

    def on_reset(self, view: RoomView) -> None:
        self.on_events(view, [])

    def on_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        """Levels come from here."""


class FollowedRooms:
    """All rooms of a worker: the desk's `Rooms`."""

    def __init__(
        self, engine: Engine, followers: Followers, signals: Signals, lossy: LossyLane, on_out: Out
    ) -> None:
        self._engine, self._followers, self._on_out = engine, followers, on_out
        self._signals, self._lossy = signals, lossy
        self._rooms: dict[str, Followed] = {}
        self._stage_of: dict[Handle, Stage] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._outbox: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(OUTBOX)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._posting())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        for room_id in list(self._rooms):
            await self._close(room_id)

    # --- Rooms -------------------------------------------------------------------------------------------
    async def open(self, room_id: str) -> Stage | None:
        if (followed := self._rooms.get(room_id)) is not None:
            return followed.stage
        async with self._opening.setdefault(room_id, asyncio.Lock()):
            if (followed := self._rooms.get(room_id)) is not None:
                return followed.stage
            stage = Stage(room_id, self._engine, self._slots_changed, self._levels_heard)
            followed = Followed(stage, self._on_out)
            view = await self._followers.watch(room_id, followed)
            self._opening.pop(room_id, None)
            if view is None or view.room.closed_reason is not None:
                return None
            followed.on_reset(view)
            self._rooms[room_id] = followed
            return stage

    def stage(self, room_id: str) -> Stage | None:
        followed = self._rooms.get(room_id)
        return followed.stage if followed else None

    def followed(self, room_id: str) -> Followed | None:
        """An open room, as it hears of its events."""
        return self._rooms.get(room_id)

    def is_seated(self, room_id: str, user_id: str) -> bool:
        followed = self._rooms.get(room_id)
        view = followed.view if followed is not None else None
        return view is not None and seat_of(view.room, user_id) is not None

    def told_producer(self, producer: MediaProducer, room_id: str, added: bool) -> None:
        name = "rtc:producer_added" if added else "rtc:producer_removed"
        if added and (stage := self.stage(room_id)) is not None:
            self._stage_of[producer.handle] = stage
        elif not added:
            self._stage_of.pop(producer.handle, None)
        body = {"room_id": room_id, "producer_id": producer.id, "user_id": producer.user_id}
        self._post(partial(self._lossy.publish_lossy, room_id, name, body))

    # --- what clients are told ---------------------------------------------------------------------------
    def _slots_changed(self, transports: list[ClientTransport], slots: list[str | None]) -> None:
        by_node: dict[str, list[str]] = defaultdict(list)
        for transport in transports:
            by_node[node_of(transport.connection_id)].append(transport.connection_id)
        room_id = transports[0].room_id if transports else ""
        for node, connections in by_node.items():
            tell = Tell(connections, "rtc:slots", {"room_id": room_id, "slots": slots})
            self._post(partial(self._signals.to_node, node, TELL, msgspec.to_builtins(tell)))

    def _levels_heard(self, room_id: str, levels: list[tuple[str, int]], active: str | None) -> None:
        body = {"room_id": room_id, "levels": levels, "active": active}
        self._post(partial(self._lossy.publish_lossy, room_id, "audio:levels", body))

    def _post(self, send: Callable[[], Awaitable[None]]) -> None:
        if not self._outbox.full():
            self._outbox.put_nowait(send)

    async def _posting(self) -> None:
        """In order, one after another."""
        while True:
            send = await self._outbox.get()
            try:
                await send()
            except Unavailable as error:
                log.debug("a message was dropped", reason=str(error))
            except Exception:  # a faulty message must not hold up the others
                log.exception("a message could not be sent")

    # --- time --------------------------------------------------------------------------------------------
    def tick(self, now: float) -> None:
        """Levels go to the room whose producer was heard; seats and levels are looked at in every room."""
        for level in self._engine.levels():
            if (stage := self._stage_of.get(level.producer)) is not None:
                stage.hear(level, now)
        for followed in self._rooms.values():
            followed.stage.tick(now)

    def ids(self) -> Iterable[str]:
        return list(self._rooms)

    async def close_idle(self, in_use: set[str]) -> None:
        """Stop following rooms in which nobody has audio."""
        now = time.monotonic()
        for room_id, followed in list(self._rooms.items()):
            if room_id in in_use or not followed.stage.is_empty:
                followed.idle_since = None
            elif followed.idle_since is None:
                followed.idle_since = now
            elif now - followed.idle_since > IDLE_SECONDS:
                await self._close(room_id)

    async def _close(self, room_id: str) -> None:
        followed = self._rooms.pop(room_id)
        followed.stage.close()
        try:
            await self._followers.unwatch(room_id, followed)
        except Unavailable as error:
            log.debug("a room is still followed", room_id=room_id, reason=str(error))
