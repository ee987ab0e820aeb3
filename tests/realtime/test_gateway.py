"""The gateway with real socket.io-clients, over a kernel in memory: who comes in, what commands do, who is
put out."""

import asyncio
import time

import pytest

from realtime.sessions import REST_MS
from tests.integration.clients import Clients
from tests.realtime.hub import Hub
from tests.realtime.served import Served, now_ms, served, token

pytestmark = pytest.mark.node


async def test_walk_in_sit_down_and_talk(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    ben = await clients.open("ben", node.url, token("ben"), parser="msgpack")
    joined = await ann.join()
    assert joined["snapshot"]["room_id"] == "lounge"
    assert joined["you"] == {
        "user_id": "ann",
        "role": "member",
        "permissions": joined["you"]["permissions"],
        "seat_index": None,
        "can_publish": False,
    }
    await ben.join()
    taken = await ann.command("seat:take", index=1)
    assert taken["seat"]["user"]["user_id"] == "ann"
    for client in (ann, ben):
        event = await client.event("seat:changed", cause="take")
        assert event["seats"][0]["index"] == 1
    await ben.command("chat:send", text="hello")
    assert (await ann.event("chat:message"))["text"] == "hello"


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("parser", ["json", "msgpack"])
@pytest.mark.parametrize("library", ["newest", "4.6"])
async def test_every_kind_of_client(
    node: Served, clients: Clients, transport: str, parser: str, library: str
) -> None:
    ann = await clients.open(
        "ann", node.url, token("ann"), transports=[transport], parser=parser, library=library
    )
    await ann.join()
    await ann.command("chat:send", text="ünïcode \U0001f3a4")
    assert (await ann.event("chat:message"))["text"] == "ünïcode \U0001f3a4"
    assert (await ann.state())["transport"] == transport


async def test_upgrade_from_polling(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"), transports=["polling", "websocket"])
    await ann.join()
    await ann.command("chat:send", text="one")
    await ann.event("chat:message", text="one")
    deadline = time.monotonic() + 30
    while (await ann.state())["transport"] != "websocket":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    await ann.command("chat:send", text="two")
    await ann.event("chat:message", text="two")


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (None, "AUTH_REQUIRED"),
        ("nonsense", "TOKEN_INVALID"),
        (token("ann", seconds=-10), "TOKEN_EXPIRED"),
        (token("ann", seconds=90 * 86_400), "TOKEN_INVALID"),
    ],
)
async def test_refused_tokens(node: Served, clients: Clients, made: str | None, code: str) -> None:
    ann = await clients.start("ann", node.url, made)
    refusal = await ann.failed()
    assert refusal["data"]["code"] == code
    assert refusal["data"]["retry"]
    assert not (await ann.state())["connected"]


async def test_a_room_that_does_not_exist_yet(hub: Hub, node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann", "later"))
    assert (await ann.refusal("room:join"))["code"] == "ROOM_NOT_FOUND"
    hub.create("later")
    assert (await ann.join())["snapshot"]["room_id"] == "later"


async def test_commands_need_membership(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    for name, fields in (
        ("seat:take", {"index": 1}),
        ("chat:send", {"text": "x"}),
        ("room:leave", {}),
        ("room:members", {}),
        ("room:sync", {"epoch": "e1", "last_seq": 0}),
    ):
        assert (await ann.refusal(name, **fields))["code"] == "NOT_IN_ROOM", name
    assert (await ann.command("sys:time", t0=5))["t0"] == 5


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("seat:take", [{}]),
        ("seat:take", [{"index": "1"}]),
        ("seat:take", [{"index": 1, "extra": True}]),
        ("seat:take", []),
        ("seat:take", [{"index": 1}, {"index": 2}]),
        ("seat:take", [[1]]),
        ("seat:take", ["1"]),
        ("no:such", [{}]),
        ("internal:mark_away", [{"user_id": "ann"}]),
        ("chat:send", [{"text": "x" * 2001}]),
    ],
)
async def test_malformed_commands(
    node: Served, clients: Clients, event: str, arguments: list[object]
) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    await ann.join()
    answer = await ann.emit(event, *arguments)
    assert answer["ok"] is False
    assert answer["error"]["code"] == "PAYLOAD_INVALID"
    await ann.command("chat:send", text="still here")


async def test_leave_and_come_back(node: Served, clients: Clients) -> None:
    ann, ben = [await clients.open(name, node.url, token(name)) for name in ("ann", "ben")]
    await ann.join()
    await ben.join()
    await ben.command("seat:take", index=2)
    await ben.command("room:leave")
    await ann.event("member:left", user_id="ben")
    assert (await ann.event("seat:changed", cause="leave"))["seats"][0]["user"] is None
    await ann.command("chat:send", text="without ben")
    await ann.event("chat:message", text="without ben")
    assert "without ben" not in str(await ben.events())
    again = await ben.join()
    assert again["snapshot"]["chat"][-1]["text"] == "without ben"


async def test_members(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann", name="Ann"))
    await ann.join()
    page = await ann.command("room:members")
    assert [member["user_id"] for member in page["members"]] == ["ann"]
    assert page["total"] == 1
    assert page["next_cursor"] is None


async def test_another_room_by_another_token(hub: Hub, node: Served, clients: Clients) -> None:
    hub.create("kitchen")
    ann = await clients.open("ann", node.url, token("ann"))
    ben = await clients.open("ben", node.url, token("ben", "kitchen"))
    await ann.join()
    await ben.join()
    assert (await ann.refusal("room:join", token=token("eve", "kitchen")))["code"] == "TOKEN_INVALID"
    joined = await ann.join(token=token("ann", "kitchen"))
    assert joined["snapshot"]["room_id"] == "kitchen"
    await ann.command("chat:send", text="in the kitchen")
    await ben.event("chat:message", text="in the kitchen")
    hub_members = hub.members
    assert not hub_members["lounge"]


async def test_kick_and_ban_end_sessions_everywhere(hub: Hub, node: Served, clients: Clients) -> None:
    async with served(hub, "n2") as other:
        boss = await clients.open("boss", node.url, token("boss", role="admin"))
        ben = await clients.open("ben", other.url, token("ben"))
        phone = await clients.open("phone", node.url, token("ben"))
        for client in (boss, ben, phone):
            await client.join()
        await boss.command("mod:kick", user_id="ben", reason="noise")
        for client in (ben, phone):
            assert (await client.event("sys:kicked"))["reason"] == "kicked"
            assert await client.disconnected() == ["io server disconnect"]
        await ben.connect()
        await ben.connected(2)
        await ben.join()
        await boss.command("mod:ban", user_id="ben")
        assert (await ben.event("sys:kicked", reason="banned")) == {"reason": "banned"}
        await ben.disconnected(2)
        await ben.connect()
        assert (await ben.failed())["data"]["code"] == "BANNED"


async def test_a_closed_room_sends_everybody_away(node: Served, clients: Clients) -> None:
    owner = await clients.open("owner", node.url, token("owner", role="owner"))
    ann = await clients.open("ann", node.url, token("ann"))
    await owner.join()
    await ann.join()
    await owner.command("room:close", reason="good night")
    await ann.event("room:closed", reason="good night")
    assert (await ann.event("sys:kicked"))["reason"] == "room_closed"
    await ann.disconnected()


async def test_a_device_has_one_connection(hub: Hub, node: Served, clients: Clients) -> None:
    async with served(hub, "n2") as other:
        first = await clients.open("first", node.url, token("ann", device_id="phone"))
        tablet = await clients.open("tablet", node.url, token("ann", device_id="tablet"))
        await clients.open("second", other.url, token("ann", device_id="phone"))
        assert (await first.event("sys:kicked"))["reason"] == "other_device"
        await first.disconnected()
        await clients.open("third", node.url, token("ann", device_id="phone"))
        assert (await tablet.state())["connected"]


async def test_events_for_few(node: Served, clients: Clients) -> None:
    boss = await clients.open("boss", node.url, token("boss", role="admin"))
    ann, ben = [await clients.open(name, node.url, token(name)) for name in ("ann", "ben")]
    for client in (boss, ann, ben):
        await client.join()
    await boss.command("room:update", seat_mode="request")
    await ann.command("seat:request")
    await boss.event("seat:requested")
    await ann.event("seat:requested")
    await boss.command("chat:send", text="after")
    for client in (boss, ann, ben):
        await client.event("chat:message", text="after")
        seqs = await client.seqs()
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "a hidden event leaves no gap"
    names = [name for name, *_ in await ben.events()]
    assert "seat:requested" not in names


async def test_refresh_and_expiry(hub: Hub, clients: Clients) -> None:
    ahead_ms = 0
    async with served(hub, clock=lambda: now_ms() + ahead_ms) as node:
        ann = await clients.open("ann", node.url, token("ann", seconds=50))
        ben = await clients.open("ben", node.url, token("ben", seconds=50))
        await ann.event("sys:token_expiring")
        fresh = token("ann", seconds=600)
        renewed = await ann.command("sys:refresh_token", token=fresh)
        assert renewed["expires_at"] > (time.time() + 540) * 1000
        assert (await ann.refusal("sys:refresh_token", token=token("eve")))["code"] == "TOKEN_INVALID"
        assert (await ben.state())["connected"]
        ahead_ms = 50_000
        assert (await ben.event("sys:kicked"))["reason"] == "token_expired"
        await ben.disconnected()
        assert (await ann.state())["connected"]


async def test_too_much_is_refused_and_then_ended(hub: Hub, clients: Clients) -> None:
    async with served(hub, "slow", rate_connection_events="1/5", rate_strikes="1/10") as node:
        ann = await clients.open("ann", node.url, token("ann"))
        answers = await asyncio.gather(*(ann.emit("sys:time", {"t0": 1}) for _ in range(8)))
        refused = [answer["error"] for answer in answers if not answer["ok"]]
        assert refused
        assert refused[0]["code"] == "RATE_LIMITED"
        assert 0 < refused[0]["retry_after_ms"] <= 1000
        for _ in range(30):
            await ann.cast("sys:time", {"t0": 1})
        assert await ann.disconnected() == ["io server disconnect"]


async def test_redis_away(hub: Hub, node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    await ann.join()
    hub.unavailable = True
    refusal = await ann.refusal("chat:send", text="x")
    assert refusal["code"] == "UNAVAILABLE"
    assert refusal["retry"] == "later"
    ben = await clients.start("ben", node.url, token("ben"))
    assert (await ben.failed())["data"]["code"] == "UNAVAILABLE"
    hub.unavailable = False
    await ann.command("chat:send", text="back")
    await ann.event("chat:message", text="back")


async def test_a_reset_brings_a_snapshot(hub: Hub, node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    await ann.join()
    await ann.command("seat:take", index=3)
    hub.reset("lounge")
    told = await ann.event("room:snapshot")
    assert told["snapshot"]["epoch"] == "e1x"
    assert told["you"]["seat_index"] == 3
    await ann.command("chat:send", text="new epoch")
    await ann.event("chat:message", text="new epoch")
    await ann.cut()
    assert (await ann.connected(2))["recovered"]


async def test_lossy_events_carry_no_position(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    await ann.join()
    node.node.lossy("lounge", "room:stats", {"room_id": "lounge", "online": 7})
    await ann.event("room:stats", online=7)
    stats = [event for event in await ann.events() if event[0] == "room:stats"]
    assert stats == [["room:stats", {"room_id": "lounge", "online": 7}, None]]


async def test_draining_closes_transports_and_clients_go_elsewhere(hub: Hub, clients: Clients) -> None:
    async with served(hub, "n1") as leaving, served(hub, "n2") as staying:
        ann = await clients.open("ann", leaving.url, token("ann"))
        await ann.join()
        await ann.move(staying.url)
        await leaving.part.drain(0.5)
        assert (await ann.event("sys:draining"))["reconnect_in_ms"] == 500
        state = await ann.connected(2)
        assert state["recovered"]
        assert state["disconnects"] == ["transport close"]


async def test_private_signals_reach_one_connection(node: Served, clients: Clients) -> None:
    ann = await clients.open("ann", node.url, token("ann"))
    await ann.join()
    (session,) = node.gateway.parts.sessions.by_connection.values()
    await node.node.to_connection(session.connection_id, "rtc:slots", {"slots": ["ben", None]})
    assert (await ann.event("rtc:slots"))["slots"] == ["ben", None]


async def test_nothing_is_left_of_those_who_went(hub: Hub, node: Served, clients: Clients) -> None:
    for number in range(20):
        client = await clients.open(f"c{number}", node.url, token(f"u{number % 5}"))
        await client.join()
        await client.close()
    parts = node.gateway.parts
    deadline = time.monotonic() + 30
    while parts.sessions.by_connection or parts.background:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert len(parts.sessions.resting) == 5
    for user in parts.sessions.rested(parts.now_ms() + REST_MS):
        await node.gateway.letters.unfollow(user)
    assert not parts.sessions.users
    channel = node.gateway.channels.get("lounge")
    assert not channel.sessions
    assert len(channel.group) == 0
    assert not hub.members["lounge"]
    assert not node.node.readers
