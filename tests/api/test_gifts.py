"""The use case of a gift: who may get what from whom, judged by the server alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.gifts import Order
from api.ledger.gifts import Paid
from state.commands import ModBan, RoomClose, SeatTake
from state.identity import SYSTEM, Actor, Profile
from state.rejections import Code, Rejection
from tests.api.house import OWNER, ROOM, House
from tests.lived import Lived


def order(sender: str = "ada", key: str = "key", **fields: Any) -> Order:
    values: dict[str, Any] = {"room_id": ROOM, "gift_id": "rose", "quantity": 1, "vip": 0}
    values |= fields
    if "scope" not in values:
        values.setdefault("recipients", (OWNER,))
    return Order(sender=Profile(sender, vip=values.pop("vip")), key=key, **values)


async def send(home: House, **fields: Any) -> Any:
    return await home.api.gifts.send(order(**fields))


async def refusal(home: House, **fields: Any) -> Code:
    outcome = await send(home, **fields)
    assert isinstance(outcome, Rejection)
    return outcome.code


@pytest.fixture(autouse=True)
async def money(home: House) -> None:
    await home.fill("ada", 10_000)


async def test_the_owner_may_be_given_to_wherever_it_is(home: House) -> None:
    paid = await send(home)
    assert isinstance(paid, Paid)
    assert paid.balance == 9_900


async def test_others_have_to_be_in_the_room(home: House) -> None:
    assert await refusal(home, recipients=("bob",)) is Code.RECIPIENT_INVALID
    await home.enter("bob")
    assert isinstance(await send(home, recipients=("bob",)), Paid)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"recipients": ("ada",)}, Code.RECIPIENT_INVALID),
        ({"recipients": (OWNER, OWNER)}, Code.PAYLOAD_INVALID),
        ({"recipients": None}, Code.PAYLOAD_INVALID),
        ({"scope": "seated", "recipients": (OWNER,)}, Code.PAYLOAD_INVALID),
        ({"scope": "seated"}, Code.RECIPIENT_INVALID),
        ({"gift_id": "nothing"}, Code.GIFT_NOT_FOUND),
        ({"room_id": "nowhere"}, Code.ROOM_NOT_FOUND),
        ({"quantity": 9_999}, Code.INSUFFICIENT_FUNDS),
    ],
)
async def test_what_can_not_be_is_refused(home: House, fields: dict[str, Any], code: Code) -> None:
    assert await refusal(home, **fields) is code
    assert (await home.api.books.wallet("ada")).coins == 10_000


async def test_a_gift_off_sale_or_above_the_senders_level_is_refused(home: House) -> None:
    await home.sell("old", is_active=False)
    await home.sell("noble", vip_level=3)
    assert await refusal(home, gift_id="old") is Code.GIFT_INACTIVE
    assert await refusal(home, gift_id="noble", vip=2) is Code.GIFT_VIP_ONLY
    assert isinstance(await send(home, gift_id="noble", vip=3), Paid)


async def test_a_banned_sender_and_a_closed_room_are_refused(home: House) -> None:
    await home.kernel.rooms.perform(ROOM, SYSTEM, ModBan(user_id="ada"))
    assert await refusal(home) is Code.BANNED
    await home.kernel.rooms.perform(ROOM, SYSTEM, RoomClose())
    assert await refusal(home, sender="eve") is Code.ROOM_CLOSED


async def test_the_server_says_who_is_seated_and_leaves_out_the_sender(home: House) -> None:
    for index, user_id in enumerate(("ada", "bob", "cyd"), 1):
        await home.enter(user_id)
        taken = await home.kernel.rooms.perform(ROOM, Actor(user_id), SeatTake(index=index))
        assert not isinstance(taken, Rejection)
    paid = await send(home, scope="seated")
    assert isinstance(paid, Paid)
    assert paid.total_cost == 200
    found = await home.api.books.transaction(paid.transaction_id)
    assert found is not None
    assert found.recipients == ["bob", "cyd"]


async def test_a_repeat_gets_its_answer_although_the_world_has_changed(home: House) -> None:
    await home.enter("bob")
    first = await send(home, recipients=("bob",))
    assert isinstance(first, Paid)
    await home.kernel.audience.leave(ROOM, f"{home.kernel.node}.bob")
    await home.sell(is_active=False)
    again = await send(home, recipients=("bob",))
    assert again == Paid(first.transaction_id, 100, 9_900, replayed=True)
    assert await refusal(home, recipients=("bob",), quantity=2) is Code.IDEMPOTENCY_MISMATCH


async def test_multipliers_count_and_the_price_is_the_catalogs(home: House) -> None:
    await home.sell("double", price=7, wealth_xp_multiplier=1.5, charm_xp_multiplier=0.29)
    await send(home, gift_id="double", quantity=10)
    ada, owner = await home.api.books.wallet("ada"), await home.api.books.wallet(OWNER)
    assert (ada.wealth_xp, owner.charm_xp) == (105, 20)


async def test_five_hundred_gifts_in_ten_seconds_to_one_star(home: House) -> None:
    senders = [f"fan-{number}" for number in range(20)]
    for sender in senders:
        await home.fill(sender, 100_000)
    await home.api.relay.start()

    async def fan(sender: str) -> list[Any]:
        return [await send(home, sender=sender, key=f"{sender}-{number}") for number in range(25)]

    async with Lived() as clock:
        outcomes = [outcome for run in await asyncio.gather(*map(fan, senders)) for outcome in run]
        assert clock.seconds < 10
    assert all(isinstance(outcome, Paid) for outcome in outcomes)
    await home.api.relay.stop()
    await home.tell_all()  # what it had no time for, as another node would
    told = await home.announced()
    assert sorted(event.transaction_id for event in told) == sorted(o.transaction_id for o in outcomes)
    counts: dict[str, list[int]] = {}
    for event in told:
        assert event.combo is not None
        counts.setdefault(event.sender.user_id, []).append(event.combo.count)
    assert counts == {sender: list(range(1, 26)) for sender in senders}
    board = await home.data("GET", "/boards/recipients?period=week")
    assert board["entries"] == [{"rank": 1, "id": OWNER, "amount": 500 * 50}]
    assert await home.faults() == []
