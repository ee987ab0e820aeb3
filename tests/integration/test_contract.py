"""Every command and every event of the contract, with every kind of client, over two real nodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from realtime.keys import DEVELOPMENT_SERVICE_KEY
from state.commands import COMMAND_TYPES
from state.events import EVENT_TYPES, USER_EVENT_TYPES
from tests.integration.clients import Client, Clients
from tests.integration.nodes import Cluster, token

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

KINDS: list[dict[str, Any]] = [
    {"transports": ["websocket"], "parser": "json", "library": "newest"},
    {"transports": ["websocket"], "parser": "msgpack", "library": "4.6"},
    {"transports": ["polling"], "parser": "json", "library": "4.6"},
    {"transports": ["polling"], "parser": "msgpack", "library": "newest"},
    {"transports": ["polling", "websocket"], "parser": "json", "library": "newest"},
]
# Answered by media workers; `tests/sfu` drives them.
MEDIA = {name for name in COMMAND_TYPES if name.startswith("rtc:")}
# Big rooms and stopping nodes have tests of their own; an internal event never reaches a client.
ELSEWHERE = {"member:batch", "sys:draining", "internal:user_unbanned"}


class Play:
    """The people of one room, and what has been tried in it."""

    def __init__(self, cast: dict[str, Client], room_id: str, url: str) -> None:
        self.cast, self.room_id, self.url = cast, room_id, url
        self.commands: set[str] = set()

    async def do(self, who: str, name: str, /, **fields: Any) -> dict[str, Any]:
        self.commands.add(name)
        return await self.cast[who].command(name, **fields)

    async def sees(self, who: str, name: str, /, **fields: Any) -> dict[str, Any]:
        body = await self.cast[who].event(name, **fields)
        assert body.get("room_id", self.room_id) == self.room_id
        return body


async def connection(play: Play) -> None:
    before = time.time() * 1000
    clock = await play.do("ann", "sys:time", t0=before)
    assert clock["t0"] == before
    assert clock["t1"] <= clock["t2"]
    fresh = token("ann", play.room_id, seconds=7200)
    assert (await play.do("ann", "sys:refresh_token", token=fresh))["expires_at"] > before + 7_000_000
    joined = await play.do("ann", "room:join")
    assert joined["you"]["user_id"] == "ann"
    assert {"settings", "owner_id", "seats", "requests", "my_invites", "combos", "online", "chat"} <= set(
        joined["snapshot"]
    )
    for who in ("owner", "ben", "cat"):
        await play.do(who, "room:join")
    await play.sees("ann", "member:joined")
    synced = await play.do("ann", "room:sync", epoch=joined["epoch"], last_seq=joined["seq"])
    assert synced["resumed"] is True
    page = await play.do("ann", "room:members", limit=2)
    assert len(page["members"]) == 2
    rest = await play.do("ann", "room:members", cursor=page["next_cursor"])
    assert len(rest["members"]) + 2 == page["total"] == 4
    assert (await play.sees("ben", "room:stats"))["online"] >= 1


async def seats(play: Play) -> None:
    owner, ann = play.cast["owner"], play.cast["ann"]
    assert (await play.do("owner", "seat:take", index=0))["seat"]["index"] == 0
    await play.do("ann", "seat:take", index=-1)
    await play.sees("ben", "seat:changed", cause="take")
    assert (await play.do("ann", "seat:move", index=4))["seat"]["index"] == 4
    await play.sees("ben", "seat:changed", cause="move")
    assert (await play.cast["ben"].refusal("seat:take", index=4))["code"] == "SEAT_OCCUPIED"
    assert (await ann.refusal("seat:take", index=99))["code"] == "SEAT_INDEX_INVALID"
    await play.do("owner", "seat:move_user", user_id="ann", index=5, policy="abort")
    await play.do("owner", "seat:mute", index=5, muted=True)
    await play.sees("ben", "seat:changed", cause="mute")
    await play.do("owner", "seat:mute", index=5, muted=False)
    await play.do("owner", "seat:lock", index=6, locked=True)
    await play.sees("ben", "seat:changed", cause="lock")
    assert (await play.cast["ben"].refusal("seat:take", index=6))["code"] == "SEAT_LOCKED"
    await play.do("owner", "seat:lock", index="all", locked=False)
    await play.do("ann", "seat:leave")
    await play.sees("ben", "seat:changed", cause="leave")
    await play.do("ann", "seat:take", index=1)
    await play.do("owner", "seat:kick", user_id="ann", cooldown_s=60)
    await play.sees("ann", "seat:changed", cause="kick")
    assert (await ann.refusal("seat:take", index=1))["code"] == "SEAT_COOLDOWN"
    assert (await owner.refusal("seat:kick", user_id="ann"))["code"]


async def requests_and_invites(play: Play) -> None:
    await play.do("owner", "room:update", seat_mode="request", name="Requests")
    assert (await play.sees("ben", "room:updated"))["settings"]["name"] == "Requests"
    assert (await play.cast["ben"].refusal("seat:take", index=2))["code"] == "SEAT_MODE_REQUEST"
    asked = await play.do("ben", "seat:request", note="please")
    await play.sees("owner", "seat:requested")
    listed = await play.do("owner", "seat:list_requests")
    assert [one["request_id"] for one in listed["requests"]] == [asked["request_id"]]
    await play.do("owner", "seat:respond_request", request_id=asked["request_id"], accept=True, index=2)
    await play.sees("ben", "seat:request_resolved", result="accepted")
    await play.sees("ann", "seat:changed", cause="accept")
    again = await play.do("cat", "seat:request")
    await play.do("cat", "seat:cancel_request", request_id=again["request_id"])
    await play.sees("owner", "seat:request_resolved", result="cancelled")
    invited = await play.do("owner", "seat:invite", user_id="cat", index=3)
    await play.sees("cat", "seat:invited")
    await play.do("cat", "seat:respond_invite", invite_id=invited["invite_id"], accept=True)
    await play.sees("owner", "seat:invite_resolved", result="accepted")
    more = await play.do("owner", "seat:invite", user_id="ann", index=5)
    await play.do("owner", "seat:cancel_invite", invite_id=more["invite_id"])
    await play.sees("ann", "seat:invite_resolved", result="cancelled")
    assert not [name for name, *_ in await play.cast["ben"].events() if name == "seat:invited"]


async def mics(play: Play) -> None:
    await play.do("owner", "mic:ask_unmute", user_id="ben")  # who was let onto a seat is silent at first
    await play.sees("ben", "mic:unmute_asked")
    assert (await play.do("ben", "mic:set", muted=False))["mic"]["can_publish"]
    await play.sees("ann", "mic:changed", user_id="ben", self_muted=False, can_publish=True)
    assert (await play.do("owner", "mic:mute_user", user_id="ben", muted=True))["mic"]["admin_muted"]
    await play.sees("ben", "mic:changed", admin_muted=True)
    await play.do("owner", "mic:mute_user", user_id="ben", muted=False)


async def chat(play: Play) -> None:
    sent = await play.do("ben", "chat:send", text="first", cid="c1")
    repeated = await play.do("ben", "chat:send", text="first", cid="c1")
    assert repeated["message_id"] == sent["message_id"]
    answer = {"text": "second", "kind": "sticker", "reply_to": sent["message_id"], "mentions": ["ben"]}
    await play.do("ann", "chat:send", **answer)
    seen = await play.sees("ben", "chat:message", text="second")
    assert {key: seen[key] for key in answer} == answer
    assert seen["by"] == seen["user"]["user_id"] == "ann"
    await play.do("ben", "chat:delete", message_id=sent["message_id"])
    await play.sees("ann", "chat:deleted", message_id=sent["message_id"])
    history = await play.do("ann", "chat:history", limit=10)
    assert [message["text"] for message in history["messages"]] == ["second"]


async def moderation(play: Play) -> None:
    await play.do("owner", "mod:set_role", user_id="ann", role="admin")
    await play.sees("ben", "mod:role_changed", user_id="ann", role="admin")
    await play.do("ann", "mod:mute_chat", user_id="cat", muted=True, duration_s=60)
    await play.sees("cat", "chat:user_muted", user_id="cat")
    assert (await play.cast["cat"].refusal("chat:send", text="x"))["code"] == "CHAT_MUTED"
    assert (await play.cast["ann"].refusal("mod:kick", user_id="owner"))["code"] == "FORBIDDEN_TARGET"
    reported = await play.do("ben", "mod:report", user_id="cat", reason="spam")
    assert reported["report_id"]
    await play.do("ann", "mod:kick", user_id="cat", reason="enough")
    await play.sees("cat", "mod:user_kicked", user_id="cat", reason="enough")
    await play.sees("cat", "sys:kicked", reason="kicked")
    await play.sees("ben", "member:left", user_id="cat")
    await play.do("ann", "mod:ban", user_id="cat", duration_s=3600, reason="more than enough")
    await play.sees("ben", "mod:user_banned", user_id="cat")
    assert [ban["user_id"] for ban in (await play.do("ann", "mod:list_bans"))["bans"]] == ["cat"]
    await play.do("ann", "mod:unban", user_id="cat")
    assert (await play.do("ann", "mod:list_bans"))["bans"] == []


async def money(play: Play) -> None:
    before = (await play.do("ann", "wallet:get"))["coins"]
    await give_coins(play.url, "ann", 1000)
    assert (await play.sees("ann", "wallet:updated"))["coins"] == before + 1000
    catalog = await play.do("ann", "gift:catalog")
    gift = min(catalog["gifts"], key=lambda one: int(one["price"]))
    assert (await play.do("ann", "gift:catalog", etag=catalog["etag"]))["etag"] == catalog["etag"]
    present = {"gift_id": gift["gift_id"], "quantity": 2, "recipients": ["ben"]}
    paid = await play.do("ann", "gift:send", **present, idempotency_key=f"{play.room_id}-1")
    assert paid["replayed"] is False
    assert (
        paid["balance"] == before + 1000 - paid["total_cost"] == (await play.do("ann", "wallet:get"))["coins"]
    )
    shown = await play.sees("owner", "gift:sent")
    assert shown["transaction_id"] == paid["transaction_id"]
    again = await play.do("ann", "gift:send", **present, idempotency_key=f"{play.room_id}-1")
    assert again["replayed"] is True
    await play.sees("ben", "wallet:updated")
    await play.sees("owner", "gift:combo_ended")
    board = await play.do("ann", "rank:get", board="senders", period="day")
    assert "ann" in str(board["entries"])


async def give_coins(url: str, user_id: str, amount: int) -> None:
    headers = {
        "Authorization": f"Bearer {DEVELOPMENT_SERVICE_KEY}",
        "Idempotency-Key": f"credit-{time.monotonic_ns()}",
    }
    body = {"amount": amount, "currency": "coins", "reason": "test", "reference": str(time.monotonic_ns())}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/users/{user_id}/credits", json=body, headers=headers) as answer,
    ):
        assert answer.status in (200, 201), await answer.text()


async def endings(play: Play) -> None:
    await play.do("ben", "room:leave")
    await play.sees("owner", "member:left", user_id="ben")
    await play.do("owner", "room:transfer", user_id="ann")
    await play.sees("owner", "room:owner_changed", user_id="ann")
    await play.do("ann", "room:close", reason="the end")
    await play.sees("owner", "room:closed", reason="the end")
    await play.sees("owner", "sys:kicked", reason="room_closed")
    await play.cast["owner"].disconnected()


SCENES: list[Callable[[Play], Awaitable[None]]] = [
    connection,
    seats,
    requests_and_invites,
    mics,
    chat,
    moderation,
    money,
    endings,
]


async def test_every_command_and_event(nodes: Cluster, clients: Clients) -> None:
    one, two = await asyncio.gather(nodes.start(), nodes.start())
    commands: set[str] = set()
    events: set[str] = set()
    for number, kind in enumerate(KINDS):
        room_id = f"room{number}"
        await nodes.room(room_id)
        cast = {}
        for who, node in (("owner", one), ("ann", two), ("ben", one), ("cat", two)):
            made = token(who, room_id, role="owner" if who == "owner" else "member")
            cast[who] = await clients.open(f"{who}{number}", node.url, made, **kind)
        play = Play(cast, room_id, one.url)
        for scene in SCENES:
            await scene(play)
        commands |= play.commands
        for client in cast.values():
            received = await client.events()
            events |= {name for name, *_ in received}
            check(received)
        await clients.open(f"late{number}", one.url, token("late", room_id, seconds=62), **kind)
    late = await clients.open("expiring", one.url, token("late", "room0", seconds=60))
    await late.event("sys:token_expiring")
    events.add("sys:token_expiring")
    assert commands == set(COMMAND_TYPES) - MEDIA
    assert set(EVENT_TYPES) | set(USER_EVENT_TYPES) | {"room:stats"} <= events | ELSEWHERE


def check(received: list[list[Any]]) -> None:
    """What holds for every list of events: no gap, a position where one belongs, nothing internal."""
    seqs = [body["seq"] for _, body, _ in received if "seq" in body]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    for name, body, position in received:
        assert not name.startswith("internal:")
        if "seq" in body:
            assert isinstance(position, str)
            assert {"room_id", "seq", "at", "by"} <= set(body)
        elif name == "room:stats":
            assert position is None
