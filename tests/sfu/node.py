"""A node without its gateway: the kernel, the media service, and workers in this process or as children."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from realtime.embedded.servers import EmbeddedServers
from sfu.launch import Launch, worker_name
from sfu.metrics import MediaMetrics
from sfu.placement import Placement, Registry
from sfu.process import open_worker
from sfu.signalling import RtcService
from sfu.supervisor import Supervisor
from sfu.worker import Worker
from state import commands
from state.events import Settings as RoomSettings
from state.identity import SYSTEM, Actor, Profile
from state.kernel import Outpost, build_kernel, build_outpost
from state.media_commands import RtcOffer
from state.ports import Answer, Caller, Done
from state.rejections import Rejection, Unavailable
from state.room import Room
from state.settings import Redis, Settings, Sfu
from tests.sfu.clients import AiortcPeer

Outcome = TypeVar("Outcome")

DEADLINE_SECONDS = 30.0
READY_SECONDS = 60.0
"""The first worker may have to build the native engine."""


def settings(redis_url: str, kind: Any = "python", **sfu: Any) -> Settings:
    return Settings(redis=Redis(url=redis_url), sfu=Sfu(port=0, engine=kind, **sfu))


async def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> float:
    """Seconds until it held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, what
        await asyncio.sleep(0.01)
    return time.monotonic() - started


def with_redis(work: Callable[[str], Coroutine[Any, Any, Outcome]]) -> Outcome:
    """For what runs without pytest: the work, on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="flylive-sfu-") as directory:
        Path(directory).chmod(0o711)
        with EmbeddedServers(Path(directory), database=False, durable=False) as urls:
            assert urls.redis_url is not None
            return asyncio.run(work(urls.redis_url))


class MediaNode:
    """One node as the media service sees it."""

    def __init__(self, configuration: Settings) -> None:
        self.settings = configuration
        self.kernel = build_kernel(configuration.redis.url, configuration)
        self.registry = Registry(self.kernel.server, self.kernel.keys)
        self.placement = Placement(self.kernel.server, self.kernel.keys, self.registry)
        self.service = RtcService(
            self.kernel.node, self.kernel.signals, self.registry, self.placement, timeout_seconds=2.0
        )
        self.supervisor: Supervisor | None = None
        self.workers: list[tuple[Worker, Outpost]] = []
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        """(name, connection, body) of what would go to clients."""
        self.peers: list[AiortcPeer] = []
        self._numbers = 0

    async def open(self, children: int = 0, workers: int = 0) -> None:
        await self.kernel.open()
        self.kernel.signals.handle("*", self._on_signal)
        if children:
            metrics = MediaMetrics(self.kernel.node, CollectorRegistry())
            self.supervisor = Supervisor(
                self.settings, self.kernel.node, "127.0.0.1", self.registry, self.service, metrics
            )
            await self.supervisor.start()
        else:
            await self.service.start()
        for _ in range(workers):
            await self.start_worker()
        wanted = max(children, workers)
        deadline = time.monotonic() + READY_SECONDS
        while len(await self._living()) < wanted:
            assert time.monotonic() < deadline, "no worker became ready"
            await asyncio.sleep(0.05)

    async def _living(self) -> dict[str, Any]:
        try:
            return dict(await self.registry.workers(fresh=True))
        except Unavailable:
            return {}

    async def start_worker(self) -> Worker:
        name = worker_name(self.kernel.node, len(self.workers))
        ports = build_outpost(self.settings.redis.url, self.settings, node=name)
        await ports.open()
        launch = Launch(self.settings, name, self.kernel.node, len(self.workers), None, "127.0.0.1")
        worker = open_worker(launch, ports)
        await worker.start()
        self.workers.append((worker, ports))
        return worker

    def _on_signal(self, name: str, connection_id: str | None, body: dict[str, Any]) -> None:
        self.told.append((name, connection_id or "", body))

    async def close(self) -> None:
        for peer in self.peers:
            await peer.close()
        if self.supervisor is not None:
            await self.supervisor.stop()
        else:
            await self.service.stop()
        for worker, ports in self.workers:
            await worker.stop()
            await ports.close()
        await self.kernel.close()

    # --- rooms -------------------------------------------------------------------------------------------
    async def room(self, room_id: str = "room", owner: str = "owner") -> Room:
        made = await self.kernel.rooms.create(room_id, owner, RoomSettings())
        assert not isinstance(made, Rejection), made
        return made

    async def act(self, user: str, command: Any, room_id: str = "room") -> None:
        answer = await self.kernel.rooms.perform(room_id, Actor(user), command)
        assert isinstance(answer, Done), answer

    async def system(self, command: Any, room_id: str = "room") -> None:
        answer = await self.kernel.rooms.perform(room_id, SYSTEM, command)
        assert isinstance(answer, Done), answer

    async def enter(self, *users: str) -> None:
        """With a connection each: who has none is taken off its seat after a while."""
        for user in users:
            profile, connection = Profile(user), f"{self.kernel.node}.{user}"
            joined = await self.kernel.audience.join("room", connection, profile, capacity=100_000)
            assert not isinstance(joined, Rejection), joined

    async def seat(self, *users: str) -> None:
        for user in users:
            await self.act(user, commands.SeatTake(-1))

    # --- audio -------------------------------------------------------------------------------------------
    def caller(self, user: str, room_id: str = "room") -> Caller:
        self._numbers += 1
        return Caller(f"{self.kernel.node}.{self._numbers}", Actor(user), room_id)

    async def ask(self, caller: Caller, command: Any) -> Answer:
        return await self.service.perform(caller, command)

    async def join(self, user: str, caller: Caller | None = None, **options: Any) -> AiortcPeer:
        caller = caller or self.caller(user)
        peer = AiortcPeer(**options)
        self.peers.append(peer)

        async def exchange(sdp: str) -> str:
            answer = await self.ask(caller, RtcOffer(sdp))
            assert isinstance(answer, Done), answer
            return str(answer.data["sdp"])

        await peer.join(exchange)
        return peer
