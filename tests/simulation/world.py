"""The whole: one modelled server, some nodes, many users, and storms that come and go.

Between two storms it is calm for longer than anything may take to heal: a lease, the taking over, the grace
time of a seat. At the end of each calm everything must be in order again, whatever the storm did.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from zlib import crc32

import msgspec

from state.events import Settings as RoomSettings
from state.identity import Role
from state.journal import decode_room
from state.rejections import Unavailable
from state.room import Room
from state.settings import Rooms, Settings
from tests.model.server import ModelProcess, shipped_scripts
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.loop import Defects, run_virtually
from tests.simulation.network import Host, Weather
from tests.simulation.nodes import SimNode
from tests.simulation.users import User

START_MS = 1_700_000_000_000
NODES = 3
ROOMS = 3
USERS_OF_A_ROOM = 8
STORM_SECONDS = (4.0, 14.0)
# Lease, taking over by the reaper (a second try included), grace of a seat, the sweep's round, some slack.
CALM_SECONDS = 30.0
STALE_SECONDS = 2.0
DELIVERY_SECONDS = 0.1  # in fair weather, many times over
CALM_PACE = 4.0
SETTINGS = Settings(
    rooms=Rooms(
        seat_kept_seconds=4.0,
        lease_seconds=4.0,
        heartbeat_seconds=1.0,
        sweep_seconds=3.0,
        idle_close_seconds=0,
    )
)


class Figures(msgspec.Struct):
    operations: int = 0
    acknowledged: int = 0
    refused: int = 0
    events: int = 0
    faults: int = 0
    losses: int = 0
    gaps: int = 0
    resets: int = 0
    restored: int = 0
    reaped: int = 0
    virtual_seconds: float = 0.0
    fingerprint: int = 0


class World:
    def __init__(self, seed: int, operations: int, scripts: dict[str, str] | None = None) -> None:
        self.rng = random.Random(seed)
        self.wanted = operations
        self.ledger = Ledger()
        self.weather = Weather(random.Random(seed + 1))
        self.model = ModelProcess(self.now_ms, shipped_scripts() if scripts is None else scripts)
        self.host = Host(self.model)
        self.host.on_commit = self._note_commit
        self.nodes: list[SimNode] = []
        self.users: list[User] = []
        self.figures = Figures()
        self.storming = True
        self._node_serial = 0
        self._committed_at = 0.0
        self._past: list[SimNode] = []

    def now_ms(self) -> int:
        return START_MS + int(asyncio.get_running_loop().time() * 1000)

    def run(self) -> Figures:
        kernel, defects = logging.getLogger("state"), Defects(logging.ERROR)
        kernel.addHandler(defects)
        kernel.propagate = False
        try:
            return run_virtually(self._main)
        finally:
            kernel.propagate = True
            kernel.removeHandler(defects)

    async def _main(self) -> Figures:
        for _number in range(NODES):
            await self._start_node()
        await self._open_rooms()
        lives = [asyncio.ensure_future(user.live(self._choose, self._is_over)) for user in self.users]
        while not self._is_over():
            await self._until(self._storm(), lives)
            await self._until(self._calm(), lives)
        await asyncio.gather(*lives)
        for node in self.nodes:
            await node.kill()
        figures = self._counted()
        # Whatever still holds a task hides that it failed unseen.
        self.nodes.clear()
        self._past.clear()
        self.users.clear()
        return figures

    async def _until(self, work: Awaitable[None], lives: Sequence[asyncio.Future[None]]) -> None:
        """Does it, unless a user fails before."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait([task, *lives], return_when=asyncio.FIRST_COMPLETED)
        for finished in done:
            finished.result()
        await task

    def _is_over(self) -> bool:
        return not self.storming and sum(user.operations for user in self.users) >= self.wanted

    def _note_commit(self, key: bytes, epoch: str, before: int, after: int) -> None:
        self._committed_at = asyncio.get_running_loop().time()
        room = self._document_of(key)
        self.ledger.written(room.room_id, epoch, before + 1, after)
        self.ledger.agree(room)

    # --- Setting up ---------------------------------------------------------------------------------------

    async def _start_node(self) -> SimNode:
        self._node_serial += 1
        name = f"n{self._node_serial}"
        node = SimNode(name, self.host, self.weather, SETTINGS, self.ledger, self.now_ms)
        await node.open()
        self.nodes.append(node)
        return node

    async def _open_rooms(self) -> None:
        for number in range(ROOMS):
            room_id = f"room{number}"
            ids = [f"u{number}x{index}" for index in range(USERS_OF_A_ROOM)]
            settings = RoomSettings(name=room_id, seat_count=5)
            node = self.nodes[0]
            while True:
                try:
                    await node.process.start(node.kernel.rooms.create(room_id, ids[0], settings))
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
            for index, user_id in enumerate(ids):
                role: Role = "owner" if index == 0 else "admin" if index < 3 else "member"
                rng = random.Random(f"{user_id}{self.rng.random()}")
                others = [other for other in ids if other != user_id]
                self.users.append(User(user_id, role, room_id, rng, self.ledger, others))

    def _choose(self) -> SimNode | None:
        living = [node for node in self.nodes if not node.process.killed and not node.process.stopped]
        return self.rng.choice(living) if living else None

    # --- Storms -------------------------------------------------------------------------------------------

    async def _storm(self) -> None:
        self.storming = True
        self.weather.lost_messages = self.rng.choice((0.0, 0.01, 0.1))
        self.weather.breaks = self.rng.choice((0.0, 0.01, 0.05))
        faults = self._faults()
        if self.rng.random() < 0.5:
            faults += self._losses()
        for user in self.users:
            user.pace = 1.0
        end = asyncio.get_running_loop().time() + self.rng.uniform(*STORM_SECONDS)
        raging = []
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(self.rng.uniform(0.1, 1.5))
            self.figures.faults += 1
            raging.append(asyncio.ensure_future(self.rng.choice(faults)()))
        await asyncio.gather(*raging)
        self.weather.lost_messages = self.weather.breaks = 0.0

    def _faults(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._break_link,
            self._break_link,
            self._cut_link,
            self._kill_node,
            self._stop_node,
            self._pause_server,
        ]

    def _losses(self) -> list[Callable[[], Awaitable[None]]]:
        return [self._fail_over, self._restart_without_data, self._flush]

    async def _break_link(self) -> None:
        self._any_node().link.break_off()

    def _any_node(self) -> SimNode:
        return self.rng.choice(self.nodes)

    async def _cut_link(self) -> None:
        link = self._any_node().link
        link.cut = True
        await asyncio.sleep(self.rng.choice((0.3, 1.0, 3.0, 8.0)))
        link.cut = False
        link.break_off()

    async def _kill_node(self) -> None:
        node = self._any_node()
        others = [other for other in self.nodes if other is not node]
        if not others or not all(
            self._holds(room) or self._is_followed(room, others) for room in self._room_ids()
        ):
            return  # the last copy of a room is not taken from the world
        self.nodes.remove(node)
        self._past.append(node)
        await node.kill()
        node.drop_everybody()
        await asyncio.sleep(self.rng.choice((0.0, 0.5, 5.0)))
        await self._start_node()

    async def _stop_node(self) -> None:
        node = self._any_node()
        node.process.stop()
        await asyncio.sleep(self.rng.choice((0.5, 3.0, 10.0, 30.0)))
        node.process.go_on()

    async def _pause_server(self) -> None:
        self.host.pause()
        await asyncio.sleep(self.rng.choice((0.2, 1.0, 4.0)))
        self.host.go_on()

    async def _fail_over(self) -> None:
        """A replica that is behind takes over, or a process comes back without the tail of its file."""
        behind = self.model.data.snapshot()
        await asyncio.sleep(self.rng.choice((0.05, 0.3, 1.0)))
        self._lose(lambda: self.host.replace(behind))

    async def _restart_without_data(self) -> None:
        self._lose(lambda: self.host.replace(None))

    async def _flush(self) -> None:
        self._lose(lambda: self.model.data.put_back(({}, {})))

    def _room_ids(self) -> list[str]:
        return [f"room{number}" for number in range(ROOMS)]

    def _holds(self, room_id: str) -> bool:
        return b"fl:{%s}:room" % room_id.encode() in self.model.data.values

    def _is_followed(self, room_id: str, nodes: list[SimNode]) -> bool:
        return any(node.kernel.followers.view(room_id) is not None for node in nodes)

    def _lose(self, act: Callable[[], None]) -> None:
        if not all(self._is_followed(room_id, self.nodes) for room_id in self._room_ids()):
            return
        self.ledger.losses += 1
        self.figures.losses += 1
        act()

    # --- Calm ---------------------------------------------------------------------------------------------

    async def _calm(self) -> None:
        for node in self.nodes:
            node.link.cut = False
        for user in self.users:
            user.pace = CALM_PACE
        await asyncio.sleep(CALM_SECONDS / 2)
        await self._expect_fresh_views()
        await asyncio.sleep(CALM_SECONDS / 2)
        self._expect_promises()
        await self._expect_order()
        self.storming = False

    async def _expect_fresh_views(self) -> None:
        """What stands at the server now is at every node soon."""
        now = {room_id: self._document(room_id) for room_id in self._room_ids()}
        await asyncio.sleep(STALE_SECONDS)
        for node in self.nodes:
            for room_id, held in now.items():
                view = node.kernel.followers.view(room_id)
                if view is None:
                    continue
                if view.epoch == held.epoch and view.seq < held.seq:
                    raise Violation(f"{node.name} is at {view.seq} of {room_id}, long after {held.seq}")
                if view.epoch < held.epoch:
                    raise Violation(f"{node.name} still follows epoch {view.epoch} of {room_id}")

    def _document(self, room_id: str) -> Room:
        return self._document_of(b"fl:{%s}:room" % room_id.encode())

    def _document_of(self, key: bytes) -> Room:
        held = self.model.data.values.get(key)
        if held is None:
            raise Violation(f"{key.decode()} is gone")
        return decode_room(held[b"document"], held[b"epoch"].decode(), int(held[b"seq"]))

    def _expect_promises(self) -> None:
        """What was acknowledged is there, unless the server lost data since."""
        for user in self.users:
            for text, epoch, seq, losses in user.promised:
                if losses == self.ledger.losses and not self._is_kept(user.room_id, (epoch, seq), text):
                    raise Violation(f"{text!r} was acknowledged at {seq} and is not there")
            user.promised.clear()

    def _is_kept(self, room_id: str, position: tuple[str, int], text: str) -> bool:
        """A witness met it, or all took the room anew behind it and the server has it in its log."""
        met = self.ledger.events.get((room_id, *position), b"")
        log = self.model.data.values.get(b"fl:{%s}:log" % room_id.encode())
        entries = [] if log is None else log.entries.get((position[1], 0), [])
        return text.encode() in met or any(text.encode() in field for field in entries)

    async def _expect_order(self) -> None:
        """Users rest for a moment; then who is there, who sits and what was counted must agree."""
        for user in self.users:
            user.resting = True
        await asyncio.sleep(SETTINGS.rooms.seat_kept_seconds + 4 * SETTINGS.rooms.sweep_seconds)
        await self._settled()
        for room_id in self._room_ids():
            self._expect_room(room_id)
        for user in self.users:
            user.resting = False

    async def _settled(self) -> None:
        """What time itself brings about (a combo ends) may have been committed just now and be on its way."""
        for _attempt in range(100):
            if asyncio.get_running_loop().time() - self._committed_at >= DELIVERY_SECONDS:
                return
            await asyncio.sleep(DELIVERY_SECONDS)
        raise Violation("commits do not come to an end while everybody rests")

    def _expect_room(self, room_id: str) -> None:
        room = self._document(room_id)
        present = {user.user_id for user in self.users if user.room_id == room_id and user.is_connected}
        members = set(self.model.data.values.get(b"fl:{%s}:members" % room_id.encode(), {}))
        if members != {user_id.encode() for user_id in present}:
            raise Violation(f"{room_id}: there are {present}, the server says {members}")
        if room.online != len(present):
            raise Violation(f"{room_id}: {len(present)} are there, the room counts {room.online}")
        for seat in room.seats:
            if seat.user is not None and (seat.user.user_id not in present or seat.away_since is not None):
                raise Violation(f"{room_id}: a ghost sits on seat {seat.index}: {seat.user.user_id}")
        for node in self.nodes:
            view = node.kernel.followers.view(room_id)
            if view is not None and (view.epoch, view.seq) != (room.epoch, room.seq):
                raise Violation(
                    f"{node.name}: {room_id} at {view.epoch}:{view.seq}, not {room.epoch}:{room.seq}"
                )
        for user in self.users:
            session = user.session
            if session is None or user.room_id != room_id or not user.is_connected:
                continue
            if (session.epoch, session.seq) != (room.epoch, room.seq):
                raise Violation(f"{user.user_id} stands at {session.seq}, the room at {room.seq}")

    def _counted(self) -> Figures:
        figures = self.figures
        figures.operations = sum(user.operations for user in self.users)
        figures.acknowledged = sum(user.acknowledged for user in self.users)
        figures.refused = sum(user.refused for user in self.users)
        figures.events = len(self.ledger.events)
        for node in [*self.nodes, *self._past]:
            kernel = node.kernel
            figures.gaps += kernel.followers.gaps
            figures.resets += kernel.followers.resets
            figures.restored += kernel.recovery.restored
            figures.reaped += kernel.reaper.reaped
        figures.virtual_seconds = asyncio.get_running_loop().time()
        figures.fingerprint = crc32(b"".join(self.ledger.states.values()))
        return figures


class Failed(Exception):
    """What went wrong, as text that reaches another process."""


def play(world: tuple[int, int]) -> tuple[int, Figures]:
    """A world by its seed and number of operations, in a process of its own."""
    seed, operations = world
    try:
        return seed, World(seed, operations).run()
    except BaseException as failure:
        again = f"python -m tests.simulation --ops {operations} --seed {seed}"
        raise Failed(f"{type(failure).__name__}: {failure}\nagain with: {again}") from failure
