"""All parts of the room kernel of one node, put together.

Clock, randomness and server come in as arguments, so that the same assembly runs on a real server and on
virtual time over a model.
"""

import os
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from state.announcer import Announcer
from state.audience import Audience, AudienceStore
from state.clock import Clock
from state.directory import Directory
from state.following import Followers
from state.ids import new_id
from state.inbox import Inbox
from state.keys import Keys
from state.lease import Lease
from state.lossy import LossyLane
from state.reaper import Reaper
from state.recovery import Recovery
from state.redis_client import build_server
from state.redis_node import Timing
from state.room import Room
from state.rooms import Rooms
from state.server import Server
from state.settings import Settings
from state.signals import Signals
from state.store import RoomStore
from state.sweep import Sweep

_ID_BYTES = 10


class Environment(Struct, frozen=True):
    """What the kernel needs from outside."""

    now_ms: Callable[[], int]
    random_bytes: Callable[[int], bytes]


def real_environment() -> Environment:
    """The wall clock and the system's randomness."""
    return Environment(now_ms=lambda: time.time_ns() // 1_000_000, random_bytes=os.urandom)


def new_node_id(environment: Environment) -> str:
    """A name that no other process has or had."""
    return new_id(environment.random_bytes(_ID_BYTES), environment.now_ms())


class Outpost:
    """A process that follows rooms and talks to nodes, but holds no members: a media worker."""

    def __init__(self, server: Server, settings: Settings, node: str, environment: Environment) -> None:
        self.node = node
        self.server = server
        self.environment = environment
        self.keys = Keys(settings.redis.prefix)
        self.store = RoomStore(server, self.keys)
        self.recovery = Recovery(
            self.store,
            now_ms=environment.now_ms,
            random_bytes=environment.random_bytes,
            wait_seconds=settings.rooms.restore_wait_seconds,
        )
        self.followers = Followers(
            self.store,
            server,
            self.recovery,
            check_seconds=settings.rooms.probe_seconds,
            on_change=self._on_change,
            on_reopened=self._on_reopened,
        )
        self.inbox = Inbox(server, self.keys)
        self.signals = Signals(server, self.keys, node)
        self.lossy = LossyLane(server, self.keys)
        server.listen(self)

    async def open(self) -> None:
        """Connect and begin all that runs by itself. Succeeds even when the server is away."""
        await self.server.open()
        self.signals.start()
        self.followers.start()

    async def close(self) -> None:
        """Stop all that runs, connections last."""
        await self.inbox.close()
        await self.signals.close()
        await self.followers.close()
        await self.recovery.close()
        await self.server.close()

    # --- What the parts tell each other -------------------------------------------------------------------

    def on_message(self, channel: str, message: bytes) -> None:
        """A message of the server: to whom it belongs. Nobody's is one of a channel that was just left."""
        if not self.followers.on_message(channel, message) and not self.inbox.on_bell(channel):
            self.signals.on_message(channel, message)

    def on_reset(self, channels: Sequence[str]) -> None:
        """These channels may have missed messages."""
        self.followers.on_reset(channels)
        self.inbox.on_reset(channels)

    def _on_change(self, room: Room) -> None:
        """A followed room moved on."""

    def _on_reopened(self, room_id: str) -> None:
        """A followed room goes on under another epoch."""


class Kernel(Outpost):
    """One node's share of all rooms."""

    def __init__(self, server: Server, settings: Settings, node: str, environment: Environment) -> None:
        super().__init__(server, settings, node, environment)
        keys, timing = self.keys, settings.rooms
        now_ms, random_bytes = environment.now_ms, environment.random_bytes
        lease_seconds, beat_seconds = timing.lease_seconds, timing.heartbeat_seconds
        self.lease = Lease(server, keys, node, lease_seconds=lease_seconds, heartbeat_seconds=beat_seconds)
        members = AudienceStore(server, keys)
        self.rooms = Rooms(
            self.store,
            self.recovery,
            now_ms=now_ms,
            random_bytes=random_bytes,
            view=self.followers.view,
            member=members.member,
            fence=self.lease,
            away_grace_ms=int(timing.seat_kept_seconds * 1000),
            idle_close_ms=int(timing.idle_close_seconds * 1000),
        )
        self._check_seconds = timing.sweep_seconds
        self.clock = Clock(self.rooms, now_ms=now_ms, random_bytes=random_bytes)
        self.announcer = Announcer(self.rooms, now_ms=now_ms, random_bytes=random_bytes)
        self.audience = Audience(
            members,
            self.rooms,
            self.lease,
            self.announcer,
            reached=self.followers.reached,
        )
        self.reaper = Reaper(
            server, keys, self.lease, self.audience, lease_seconds=lease_seconds, look_seconds=beat_seconds
        )
        self.directory = Directory(server, keys, self.store, members)
        self.sweep = Sweep(
            server,
            keys,
            self.store,
            self.rooms,
            members,
            self.directory,
            self.reaper,
            node=node,
            now_ms=now_ms,
            round_seconds=timing.sweep_seconds,
        )

    async def open(self) -> None:
        """Connect, take the lease, and begin all that runs by itself."""
        await super().open()
        await self.lease.open()
        self.audience.start(self._check_seconds)
        self.reaper.start()
        self.sweep.start()

    async def close(self) -> None:
        """Stop all that runs, connections last."""
        for part in (self.sweep, self.reaper, self.clock, self.announcer, self.audience, self.rooms):
            await part.close()
        await self.lease.close()
        await super().close()

    def _on_change(self, room: Room) -> None:
        self.clock.note(room)

    def _on_reopened(self, room_id: str) -> None:
        self.audience.assert_room(room_id)


def _server(url: str, settings: Settings, node: str) -> Server:
    call_seconds = settings.redis.timeout_ms / 1000
    timing = Timing(call_seconds=call_seconds, probe_seconds=settings.rooms.probe_seconds)
    return build_server(url, name=node, timing=timing)


def build_outpost(url: str, settings: Settings, *, node: str | None = None) -> Outpost:
    """A follower of rooms over the server behind a URL."""
    environment = real_environment()
    name = new_node_id(environment) if node is None else node
    return Outpost(_server(url, settings, name), settings, name, environment)


def build_kernel(url: str, settings: Settings, *, node: str | None = None) -> Kernel:
    """The kernel over the server behind a URL."""
    environment = real_environment()
    name = new_node_id(environment) if node is None else node
    return Kernel(_server(url, settings, name), settings, name, environment)
