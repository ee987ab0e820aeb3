"""Coming back: nothing missed, nothing twice, nobody who may not."""

import asyncio
import random

import pytest

from realtime.doorway import locate
from realtime.positions import Mark
from realtime.recovery import Record
from tests.integration.clients import Client, Clients
from tests.realtime.hub import Hub
from tests.realtime.served import Served, served, token

pytestmark = pytest.mark.node


async def texts(client: Client) -> list[str]:
    return [body["text"] for name, body, _ in await client.events() if name == "chat:message"]


def contiguous(seqs: list[int]) -> bool:
    return seqs == list(range(seqs[0], seqs[0] + len(seqs)))


@pytest.mark.parametrize("parser", ["json", "msgpack"])
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_missed_events_come_once_and_in_order(
    node: Served, clients: Clients, parser: str, transport: str
) -> None:
    ann = await clients.open("ann", node.url, token("ann"), parser=parser, transports=[transport])
    ben = await clients.open("ben", node.url, token("ben"))
    first = await ann.join()
    assert first["resumed"] is False
    await ben.join()
    await ben.command("chat:send", text="before")
    await ann.event("chat:message", text="before")
    before = await ann.state()
    await ann.cut()
    for number in range(5):
        await ben.command("chat:send", text=f"missed {number}")
    state = await ann.connected(2)
    assert state["recovered"]
    assert state["id"] == before["id"]
    await ben.command("chat:send", text="after")
    await ann.event("chat:message", text="after")
    assert await texts(ann) == ["before", *(f"missed {number}" for number in range(5)), "after"]
    assert contiguous(await ann.seqs())


async def test_on_another_node_after_the_first_was_killed(hub: Hub, node: Served, clients: Clients) -> None:
    async with served(hub, "n2") as other:
        ann = await clients.open("ann", node.url, token("ann"))
        ben = await clients.open("ben", other.url, token("ben"))
        await ann.join()
        await ben.join()
        await ann.event("member:joined")
        node.node.deaf = True  # as good as dead: it hears nothing and says nothing any more
        await ann.move(other.url)
        await ben.command("chat:send", text="missed")
        await ann.cut()
        assert (await ann.connected(2))["recovered"]
        await ann.event("chat:message", text="missed")
        assert await texts(ann) == ["missed"]
        assert contiguous(await ann.seqs())


async def test_without_any_event_seen(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    await ann.cut()
    assert (await ann.connected(2))["recovered"]


async def test_a_banned_user_does_not_slip_in(hub: Hub, node: Served, clients: Clients) -> None:
    async with served(hub, "n2") as other:
        boss = await clients.open("boss", other.url, token("boss", role="admin"))
        ben = await clients.open("ben", node.url, token("ben"))
        await boss.join()
        await ben.join()
        node.node.deaf = True
        await ben.move(other.url)
        await boss.command("mod:ban", user_id="ben")
        await ben.cut()
        assert (await ben.failed())["data"]["code"] == "BANNED"


async def test_a_kicked_user_comes_back_as_a_new_one(hub: Hub, node: Served, clients: Clients) -> None:
    async with served(hub, "n2") as other:
        boss = await clients.open("boss", other.url, token("boss", role="admin"))
        ben = await clients.open("ben", node.url, token("ben"))
        await boss.join()
        await ben.join()
        await ben.event("member:joined")
        node.node.deaf = True
        await ben.move(other.url)
        await boss.command("mod:kick", user_id="ben")
        await ben.cut()
        assert not (await ben.connected(2))["recovered"]
        assert (await ben.refusal("chat:send", text="x"))["code"] == "NOT_IN_ROOM"


async def test_nobody_else_may_use_a_private_id(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    await ann.join()
    (session,) = node.gateway.parts.sessions.by_connection.values()
    auth = {"token": token("eve"), "pid": session.record.private_id}
    eve = await clients.start("eve", node.url, None, auth=auth)
    state = await eve.connected()
    assert not state["recovered"]
    assert state["id"] != session.record.sid


async def test_the_half_open_predecessor_is_closed(hub: Hub, node: Served, clients: Clients) -> None:
    """The client is already back elsewhere while the old node still believes in its socket."""
    async with served(hub, "n2") as other:
        ann = await clients.open("ann", node.url, token("ann"))
        await ann.join()
        await ann.command("seat:take", index=2)
        (session,) = node.gateway.parts.sessions.by_connection.values()
        auth = {"token": token("ann"), "pid": session.record.private_id}
        twin = await clients.start("twin", other.url, None, auth=auth)
        state = await twin.connected()
        assert state["id"] == session.record.sid
        await ann.disconnected()
        seats = hub.rooms["lounge"].seats
        assert seats[2].user is not None
        assert seats[2].away_since is None, "it never looked away to the others"


async def test_letters_come_once(hub: Hub, node: Served, clients: Clients) -> None:
    async with served(hub, "n2") as other:
        ann = await clients.open("ann", node.url, token("ann"))
        ben = await clients.open("ben", other.url, token("ben"))
        await ann.join()
        await ben.join()
        inbox = other.node.kernel().inbox
        await inbox.post("ann", "wallet:updated", {"coins": 1})
        await ann.event("wallet:updated", coins=1)
        await ben.command("chat:send", text="one")
        await ann.event("chat:message", text="one")
        node.node.deaf = True
        await inbox.post("ann", "wallet:updated", {"coins": 2})
        await ben.command("chat:send", text="two")
        await ann.move(other.url)
        await ann.cut()
        assert (await ann.connected(2))["recovered"]
        await inbox.post("ann", "wallet:updated", {"coins": 3})
        await ann.event("wallet:updated", coins=3)
        coins = [body["coins"] for name, body, _ in await ann.events() if name == "wallet:updated"]
        assert coins == [1, 2, 3]
        assert await texts(ann) == ["one", "two"]


async def test_clients_without_recovery_sync_by_position(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    ben = await clients.open("ben", node.url, token("ben"))
    joined = await ann.join()
    await ben.join()
    await ben.command("chat:send", text="one")
    await ann.event("chat:message", text="one")
    synced = await ann.command("room:sync", epoch=joined["epoch"], last_seq=joined["seq"])
    assert synced["resumed"] is True
    assert [body["seq"] for _, body in synced["events"]] == list(range(joined["seq"] + 1, synced["seq"] + 1))
    assert synced["events"][-1][0] == "chat:message"
    foreign = await ann.command("room:sync", epoch="other", last_seq=1)
    assert foreign["resumed"] is False
    assert foreign["snapshot"]["seq"] == foreign["seq"]
    future = await ann.command("room:sync", epoch=joined["epoch"], last_seq=synced["seq"] + 100)
    assert future["resumed"] is False
    late = await clients.open("late", node.url, token("late"))
    resumed = await late.join(epoch=joined["epoch"], last_seq=joined["seq"])
    assert resumed["resumed"] is True


async def test_reconnects_at_random_points_with_traffic(hub: Hub, clients: Clients) -> None:
    """Nodes switched and transports cut while two talk and one is paid: everything once, in order."""
    random.seed(7)
    async with served(hub, "n1") as one, served(hub, "n2") as two:
        nodes = [one, two]
        ben = await clients.open("ben", one.url, token("ben"))
        await ben.join()
        walkers = [
            await clients.open(
                f"w{number}", one.url, token(f"w{number}"), parser=("json", "msgpack")[number % 2]
            )
            for number in range(4)
        ]
        for walker in walkers:
            await walker.join()
        inbox = one.node.kernel().inbox
        cuts = 12
        for number in range(cuts):
            for walker in walkers:
                await walker.move(random.choice(nodes).url)
                await walker.cut()
            for part in range(3):
                await ben.command("chat:send", text=f"{number}.{part}")
                await inbox.post("w1", "wallet:updated", {"coins": number * 3 + part})
                await asyncio.sleep(random.random() * 0.02)
            for walker in walkers:
                assert (await walker.connected(number + 2))["recovered"]
        expected = [f"{number}.{part}" for number in range(cuts) for part in range(3)]
        for walker in walkers:
            await walker.event("chat:message", text=expected[-1])
            assert await texts(walker) == expected
            assert contiguous(await walker.seqs())
        await walkers[1].event("wallet:updated", coins=cuts * 3 - 1)
        coins = [body["coins"] for name, body, _ in await walkers[1].events() if name == "wallet:updated"]
        assert coins == list(range(cuts * 3))


def record(**fields: object) -> Record:
    base = {
        "private_id": "p",
        "sid": "s",
        "user_id": "u",
        "device_id": None,
        "room_id": "r",
        "joined": True,
        "epoch": "e",
        "seq": 10,
        "inbox": "3",
        "marks": (Mark("e", 10, "4"),),
    }
    return Record(**{**base, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "offset", "place"),
    [
        ({}, None, ("e", 10, "3")),
        ({}, "e:12", ("e", 12, "4")),
        ({}, "e:12|9", ("e", 12, "9")),
        ({}, "e:10|9", ("e", 10, "9")),
        ({}, ":0|9", ("e", 10, "9")),
        ({"marks": (Mark("d", 1, "2"), Mark("e", 10, "4"))}, "d:7", ("e", 10, "2")),
        ({}, "garbage", None),
        ({"reset": True}, "d:12", None),
        ({"reset": True}, None, None),
        ({"reset": True}, "e:12", ("e", 12, "4")),
        ({"joined": False}, "e:12", ("", 0, "4")),
        ({"joined": False, "marks": ()}, "e:12", None),
    ],
)
def test_the_place_of_a_returning_client(
    fields: dict[str, object], offset: str | None, place: tuple[str, int, str] | None
) -> None:
    found = locate(record(**fields), offset)
    assert (tuple(found) if found else None) == place
