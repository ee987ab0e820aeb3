"""One media worker: a switchboard, its desk, and the rooms it was given, announced in Redis.

While Redis is away everything that was agreed goes on; nothing new can be. A worker that lost its node
(its parent) takes no new rooms and leaves when its last client did: the death of a node must not end
conversations.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from sfu.desk import Desk
from sfu.dtls import Certificate
from sfu.engine import EngineOptions
from sfu.following import FollowedRooms
from sfu.messages import ANSWER, CALL, CLOSED, Answered, Call, Closed
from sfu.placement import ANNOUNCE_SECONDS, KEEP_ROOMS_SECONDS, Announcement, Placement, Registry
from sfu.switchboard import Place, Switchboard
from state import supervision
from state.kernel import Outpost
from state.ports import Done
from state.rejections import Code, Rejection, Unavailable
from state.supervision import repeat

log = structlog.get_logger("sfu.worker")
ROOM_LOAD = 0.002
"""What a room weighs before it talks, as a share of a core: a hundred placed at once are spread."""
ORPHAN_SECONDS = 10.0
"""An orphan without clients leaves after so long."""
KEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the worker is."""

    worker: str
    node: str
    parent: int | None = None
    """Process id of the supervising node; None when it was started alone."""


class Worker:
    """Everything of one worker process."""

    def __init__(self, identity: Identity, place: Place, ports: Outpost) -> None:
        self.identity, self._ports = identity, ports
        self.switchboard = Switchboard(place, Certificate.generateCertificate(), EngineOptions())
        engine = self.switchboard.engine
        self.rooms = FollowedRooms(engine, ports.followers, ports.signals, ports.lossy, self._out)
        self.desk = Desk(self.switchboard, self.rooms)
        self.registry = Registry(ports.server, ports.keys)
        self.placement = Placement(ports.server, ports.keys, self.registry)
        self.finished = asyncio.Event()
        self.is_draining = False
        self._usage = Usage()
        self._alone_since: float | None = None
        self._kept_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self.switchboard.start()
        self.rooms.start()
        self.switchboard.tickers.append(self.rooms.tick)
        self._ports.signals.handle(CALL, self._on_call)
        self._ports.signals.handle(CLOSED, self._on_closed)
        self._tasks |= {
            asyncio.create_task(self._announce()),
            repeat(ANNOUNCE_SECONDS, self._announce),
            repeat(KEEP_SECONDS, self._keep),
        }
        log.info(
            "media worker is ready",
            worker=self.identity.worker,
            port=self.switchboard.port,
            addresses=list(self.switchboard.place.announced),
            engine=self.switchboard.engine.name,
        )

    async def stop(self) -> None:
        await supervision.stop(*self._tasks)
        try:
            await self.registry.withdraw(self.identity.worker)
        except Unavailable:
            log.info("left without saying so: Redis is away")
        await self.rooms.stop()
        await self.switchboard.stop()

    # --- calls -------------------------------------------------------------------------------------------
    def _on_call(self, _name: str, _connection_id: str | None, body: dict[str, Any]) -> None:
        try:
            call = msgspec.convert(body, Call)
        except msgspec.ValidationError as error:
            log.warning("a call that is none", reason=str(error))
            return
        task = asyncio.create_task(self._answer(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, call: Call) -> None:
        await self.switchboard.pacer.turn()
        try:
            answer = await self.desk.perform(call.caller, call.command)
        except Unavailable as failure:
            answer = Rejection(Code.UNAVAILABLE, str(failure))
        except Exception:  # told to the client as such; the others' commands go on
            log.exception("a command failed", command=type(call.command).__name__)
            answer = Rejection(Code.INTERNAL)
        if isinstance(answer, Done):
            answered = Answered(call.number, answer.data)
        else:
            answered = Answered(call.number, None, answer.code.value, answer.message)
        try:
            await self._ports.signals.to_node(call.node, ANSWER, msgspec.to_builtins(answered))
        except Unavailable as failure:
            log.warning("an answer was lost", reason=str(failure))

    def _on_closed(self, _name: str, _connection_id: str | None, body: dict[str, Any]) -> None:
        closed = msgspec.convert(body, Closed)
        self.desk.connection_closed(closed.caller, closed.now)

    def _out(self, room_id: str, user_id: str | None) -> None:
        if user_id is None:
            self.desk.end_room(room_id, "the room was closed")
        else:
            self.desk.end_user(room_id, user_id, "put out of the room")

    # --- what goes on by itself --------------------------------------------------------------------------
    async def _announce(self) -> None:
        await self._ports.signals.listening()
        await self.registry.announce(self.announcement(), time.time_ns() // 1_000_000)

    def _look_after_the_node(self) -> None:
        """Leave when nobody needs this process any more."""
        now = time.monotonic()
        if self.identity.parent is None or os.getppid() == self.identity.parent:
            return
        if not self.is_draining:
            log.warning("the node is gone; its clients go on talking", worker=self.identity.worker)
        self.is_draining = True
        if self._alone_since is None or self.switchboard.transports:
            self._alone_since = now
        if now - self._alone_since > ORPHAN_SECONDS:
            self.finished.set()

    async def _keep(self) -> None:
        self._look_after_the_node()
        now = time.monotonic()
        self.desk.expire(now)
        await self.rooms.close_idle(self.desk.rooms_in_use())
        if now - self._kept_at > KEEP_ROOMS_SECONDS:
            self._kept_at = now
            for room_id in self.rooms.ids():
                await self.placement.keep(room_id)
            await self.registry.forget_dead(time.time_ns() // 1_000_000)

    def announcement(self) -> Announcement:
        transports = list(self.switchboard.transports.values())
        rooms = len(list(self.rooms.ids()))
        return Announcement(
            worker=self.identity.worker,
            node=self.identity.node,
            addresses=list(self.switchboard.place.announced),
            port=self.switchboard.port,
            engine=self.switchboard.engine.name,
            load=round(self._usage.share() + ROOM_LOAD * rooms, 3),
            rooms=rooms,
            transports=len(transports),
            producers=sum(len(t.producers) for t in transports),
            consumers=sum(len(t.consumers) for t in transports),
            figures=self._figures(),
            is_draining=self.is_draining,
        )

    def _lost(self) -> int:
        engine, transports = self.switchboard.engine, self.switchboard.transports.values()
        handles = [producer.handle for transport in transports for producer in transport.producers.values()]
        return sum(engine.producer_stats(handle).lost for handle in handles)

    def _figures(self) -> dict[str, float]:
        stats, ice = self.switchboard.engine.stats(), self.switchboard.responder.counts
        figures: dict[str, float] = {
            "packets_received": stats.packets_received,
            "packets_forwarded": stats.packets_forwarded,
            "datagrams_foreign": stats.foreign,
            "datagrams_empty": stats.empty,
            "datagrams_oversized": stats.oversized,
            "control_dropped": stats.control_dropped,
            "send_failures": stats.send_failures,
            "stun_answered": ice.answered,
            "stun_unknown_user": ice.unknown_user,
            "stun_malformed": ice.malformed,
            "stun_forged": ice.forged,
            "stun_refused": ice.refused,
            "packets_lost": self._lost(),
            "late_ticks": self.switchboard.late_ticks,
            "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        return figures | {f"latency_bucket_{n}": count for n, count in enumerate(stats.latency_counts)}


class Usage:
    """The share of a core this process used, smoothed over the last announcements."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()
        self._share = 0.0

    def share(self) -> float:
        cpu, wall = time.process_time(), time.monotonic()
        if wall - self._wall > 0.05:
            now = (cpu - self._cpu) / (wall - self._wall)
            self._share += (now - self._share) * 0.5
            self._cpu, self._wall = cpu, wall
        return self._share
