"""Money through REST."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.house import OWNER, ROOM, House

GIFTS = f"/rooms/{ROOM}/gifts"
GIFT = {"gift_id": "rose", "quantity": 2, "recipients": [OWNER]}


async def test_a_user_pays_for_itself_once(home: House) -> None:
    await home.fill("ada", 1_000)
    token = home.token("ada")
    status, first = await home.request("POST", GIFTS, GIFT, key="k", bearer=token)
    assert status == 201
    assert first["data"]["balance"] == 800
    status, again = await home.request("POST", GIFTS, GIFT, key="k", bearer=token)
    assert status == 200
    assert again["data"] == {**first["data"], "replayed": True}
    other = {**GIFT, "quantity": 3}
    assert await home.code("POST", GIFTS, other, key="k", bearer=token) == (409, "IDEMPOTENCY_MISMATCH")


async def test_sixty_four_equal_requests_get_one_answer(home: House) -> None:
    await home.fill("ada", 1_000)
    token = home.token("ada")
    answers = await asyncio.gather(
        *(home.request("POST", GIFTS, GIFT, key="k", bearer=token) for _ in range(64))
    )
    assert sorted({status for status, _ in answers}) == [200, 201]
    assert [status for status, _ in answers].count(201) == 1
    assert len({(body["data"]["transaction_id"], body["data"]["balance"]) for _, body in answers}) == 1
    assert (await home.data("GET", "/users/ada/wallet"))["coins"] == 800


async def test_the_sender_is_the_tokens_user_never_the_bodys(home: House) -> None:
    await home.fill("bob", 1_000)
    body = {**GIFT, "sender_id": "bob"}
    refusal = await home.code("POST", GIFTS, body, key="k", bearer=home.token("ada"))
    assert refusal == (403, "FORBIDDEN")
    elsewhere = home.token("bob", room_id="other")
    assert await home.code("POST", GIFTS, GIFT, key="k", bearer=elsewhere) == (403, "FORBIDDEN")
    assert await home.code("POST", GIFTS, GIFT, key="k") == (422, "PAYLOAD_INVALID")
    assert (await home.data("POST", GIFTS, body, key="k"))["balance"] == 800


async def test_too_little_money_says_how_little(home: House) -> None:
    await home.fill("ada", 150)
    status, envelope = await home.request("POST", GIFTS, GIFT, key="k", bearer=home.token("ada"))
    assert status == 402
    assert envelope["errors"] == {
        "code": "INSUFFICIENT_FUNDS",
        "details": {"required": 200, "available": 150},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": 0},
        {"quantity": 10_000},
        {"quantity": -1},
        {"quantity": 1.5},
        {"quantity": "2"},
        {"quantity": True},
        {"price": 1},
        {"recipients": []},
        {"recipients": ["a b"]},
        {"recipients": [f"u{number}" for number in range(31)]},
        {"scope": "all", "recipients": None},
        {"gift_id": "rose' OR '1'='1"},
        {"gift_id": "x" * 65},
    ],
)
async def test_abuse_of_types_and_ranges_is_refused(home: House, change: dict[str, Any]) -> None:
    await home.fill("ada", 1_000)
    refusal = await home.code("POST", GIFTS, GIFT | change, key="k", bearer=home.token("ada"))
    assert refusal == (422, "PAYLOAD_INVALID")
    assert (await home.data("GET", "/users/ada/wallet"))["coins"] == 1_000


@pytest.mark.parametrize("key", [None, "x" * 129])
async def test_a_gift_needs_a_key_of_sane_length(home: House, key: str | None) -> None:
    assert await home.code("POST", GIFTS, GIFT, key=key, bearer=home.token("ada")) == (422, "PAYLOAD_INVALID")


async def test_a_credit_counts_once_and_is_recorded(home: House) -> None:
    body = {"amount": 500, "currency": "coins", "reason": "purchase", "reference": "order-1"}
    path = "/users/ada/credits"
    status, first = await home.request("POST", path, body, key="a")
    assert (status, first["data"]["balance"]) == (201, 500)
    status, again = await home.request("POST", path, body, key="b")
    assert (status, again["data"]) == (200, {**first["data"], "replayed": True})
    other = body | {"amount": 501}
    assert await home.code("POST", path, other, key="a") == (409, "IDEMPOTENCY_MISMATCH")
    for wrong in ({"amount": 0}, {"amount": 2**63}, {"currency": "gold"}, {"balance": 9}):
        assert await home.code("POST", path, body | wrong, key="c") == (422, "PAYLOAD_INVALID")
    records = await home.pool.fetch("SELECT outcome FROM ledger.audit WHERE operation = 'credit_user'")
    assert [row["outcome"] for row in records] == ["done", "done", "IDEMPOTENCY_MISMATCH"]


async def test_a_gift_is_found_reversed_and_listed(home: House) -> None:
    await home.fill("ada", 1_000)
    paid = await home.data("POST", GIFTS, GIFT, key="k", bearer=home.token("ada"))
    path = f"/transactions/{paid['transaction_id']}"
    found = await home.data("GET", path)
    assert (found["kind"], found["amount"], found["recipients"]) == ("gift", 200, [OWNER])
    status, reversed_ = await home.request("POST", f"{path}/reverse", {"reason": "mistake"})
    assert status == 201
    status, again = await home.request("POST", f"{path}/reverse", {})
    assert (status, again["data"]["transaction_id"]) == (200, reversed_["data"]["transaction_id"])
    assert (await home.data("GET", path))["reversed_by"] == again["data"]["transaction_id"]
    page = await home.data("GET", "/users/ada/transactions?limit=2", bearer=home.token("ada"))
    assert [movement["kind"] for movement in page["transactions"]] == ["reversal", "gift"]
    rest = await home.data("GET", f"/users/ada/transactions?cursor={page['next_cursor']}")
    assert [movement["kind"] for movement in rest["transactions"]] == ["credit"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("name", ["nothing", "01a1f8b5-3709-76e6-8949-7c64987b431d"])
async def test_a_transaction_that_does_not_exist_is_not_found(home: House, name: str) -> None:
    assert (await home.code("GET", f"/transactions/{name}"))[0] == 404
    assert (await home.code("POST", f"/transactions/{name}/reverse", {}))[0] == 404


async def test_the_catalog_is_open_and_tagged(home: House) -> None:
    async with home.client.get("/v1/gifts") as response:
        tag = response.headers["ETag"]
        assert [gift["gift_id"] for gift in (await response.json())["data"]["gifts"]] == ["rose"]
    async with home.client.get("/v1/gifts", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    status, _ = await home.request("PUT", "/gifts/tulip", {"name": "Tulip", "price": 5})
    assert status == 201
    status, _ = await home.request("PUT", "/gifts/tulip", {"name": "Tulip", "price": 6})
    assert status == 200
    async with home.client.get("/v1/gifts", headers={"If-None-Match": tag}) as response:
        assert response.status == 200


async def test_boards_are_four_and_no_more(home: House) -> None:
    for board in ("senders", "recipients", "rooms", "agencies"):
        shown = await home.data("GET", f"/boards/{board}?period=month", bearer="")
        assert shown == {"board": board, "period": "month", "entries": []}
    assert await home.code("GET", "/boards/losers") == (422, "PAYLOAD_INVALID")
    assert await home.code("GET", "/boards/senders?period=year") == (422, "PAYLOAD_INVALID")
