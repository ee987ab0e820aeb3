"""What only a cluster does: slots that move, masters that die and are replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from redis.crc import key_slot

from state.kernel import Kernel, build_kernel
from state.keys import Keys
from state.settings import Redis, Settings
from state.slots import slot_of, tag_for, tag_in
from tests.contract.nodes import ROOM, until
from tests.contract.servers import ClusterProcesses
from tests.state.load import Load

SLOT = slot_of(Keys("t").room(ROOM))


@pytest.fixture
def own_cluster() -> Iterator[ClusterProcesses]:
    """A cluster that may be broken."""
    cluster = ClusterProcesses()
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.fixture
async def nodes(own_cluster: ClusterProcesses) -> AsyncIterator[tuple[Kernel, Kernel]]:
    settings = Settings(redis=Redis(prefix="t"))
    one, two = (build_kernel(own_cluster.url, settings, node=name) for name in ("one", "two"))
    await one.open()
    await two.open()
    yield one, two
    await one.close()
    await two.close()


def test_all_keys_of_a_room_share_a_slot() -> None:
    keys = Keys("t")
    of_room = [
        keys.room("r"), keys.stream("r"), keys.log("r"), keys.fences("r"), keys.claim("r"), keys.members("r"),
        keys.command("r", "u", "{x}"), keys.held("r", "n", 1), keys.gone("r", "n", 1), keys.channel("r"),
    ]  # fmt: skip
    assert len({slot_of(key) for key in of_room}) == 1
    of_nodes = [keys.leases, keys.dying, keys.reaped, keys.tokens, keys.rooms_of("n", 1)]
    assert len({slot_of(key) for key in of_nodes}) == 1
    assert slot_of(keys.inbox("u")) == slot_of(keys.inbox_channel("u"))


@pytest.mark.parametrize(
    ("key", "slot"),
    [("123456789", 0x31C3 % 16384), ("foo", 12182), ("{user1000}.x", 3443), ("a{}b{c}", None)],
)
def test_slots_are_those_of_the_specification(key: str, slot: int | None) -> None:
    assert slot_of(key) == (slot_of_whole(key) if slot is None else slot)
    assert 100 <= slot_of(tag_for(100, 200)) <= 200
    assert tag_in("a{b}c{d}") == "b"


def slot_of_whole(key: str) -> int:
    """An empty tag counts as none."""
    return int(key_slot(key.encode()))


async def test_a_master_that_dies_is_replaced(
    own_cluster: ClusterProcesses, nodes: tuple[Kernel, Kernel]
) -> None:
    owner = own_cluster.owner_of(SLOT)
    own_cluster.add_replica(owner)
    async with Load(nodes) as load:
        await load.progress()
        before = load.views[0].epoch
        own_cluster.nodes[owner].kill()
        furthest = max(view.seq for view in load.views)
        await until(lambda: all(view.epoch > before for view in load.views), 60)
        await load.progress()
        for watcher in load.watchers:
            assert watcher.resets[0][1] >= furthest
        await load.agree()


async def test_a_slot_that_moves_takes_its_room_along(
    own_cluster: ClusterProcesses, nodes: tuple[Kernel, Kernel]
) -> None:
    """The new process is another generation, so the room goes on under a new epoch; nothing is lost."""
    source = own_cluster.nodes[own_cluster.owner_of(SLOT)]
    goal = own_cluster.nodes[(own_cluster.owner_of(SLOT) + 1) % 3]
    async with Load(nodes) as load:
        await load.progress()
        before = load.views[0].epoch
        await asyncio.to_thread(_move_slot, source.port, goal.port, [node.port for node in own_cluster.nodes])
        await until(lambda: all(view.epoch > before for view in load.views), 60)
        await load.progress()
        await load.agree()


def _move_slot(source_port: int, goal_port: int, ports: list[int]) -> None:
    source, goal = redis.Redis(port=source_port), redis.Redis(port=goal_port)
    source_id, goal_id = (
        bytes(client.execute_command("CLUSTER", "MYID", NEVER_DECODE=True)).decode()
        for client in (source, goal)
    )
    goal.execute_command("CLUSTER", "SETSLOT", SLOT, "IMPORTING", source_id)
    source.execute_command("CLUSTER", "SETSLOT", SLOT, "MIGRATING", goal_id)
    while keys := source.execute_command("CLUSTER", "GETKEYSINSLOT", SLOT, 100, NEVER_DECODE=True):
        source.execute_command("MIGRATE", "127.0.0.1", goal_port, "", 0, 10_000, "KEYS", *keys)
    for port in (goal_port, source_port, *ports):
        with redis.Redis(port=port) as client:
            client.execute_command("CLUSTER", "SETSLOT", SLOT, "NODE", goal_id)
    source.close()
    goal.close()
