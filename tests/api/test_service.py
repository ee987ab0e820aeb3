"""The answer to `gift:send`: what was paid, and what the room made of it if it did so in time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api import outbox
from state.commands import GiftSend
from state.identity import Actor
from state.ports import Caller, Done
from tests.api.house import OWNER, ROOM, House


async def send(home: House, key: str, gift_id: str = "rose") -> dict[str, Any]:
    caller = Caller("connection", Actor("ada"), ROOM)
    command = GiftSend(gift_id=gift_id, quantity=1, recipients=[OWNER], idempotency_key=key)
    answer = await home.api.service.perform(caller, command)
    assert isinstance(answer, Done)
    return answer.data


@pytest.fixture(autouse=True)
async def money(home: House) -> None:
    await home.fill("ada", 10_000)


async def test_a_payer_is_told_the_combo(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "COMBO_SECONDS", 60.0)
    await home.api.relay.start()
    combos = [(await send(home, f"key-{number}"))["combo"] for number in range(3)]
    assert [combo["count"] for combo in combos] == [1, 2, 3]
    announced = [gift.combo for gift in await home.announced()]
    assert [(combo["combo_id"], combo["ends_at"]) for combo in combos] == [
        (combo.combo_id, combo.ends_at) for combo in announced if combo is not None
    ]


async def test_gifts_without_combos_do_not_wait(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "COMBO_SECONDS", 3_600.0)
    await home.sell("crown", combo=False)
    assert "combo" not in await send(home, "key", "crown")


async def test_a_payment_does_not_depend_on_the_room(home: House) -> None:
    paid = await send(home, "key")
    assert paid["balance"] == 9_900
    assert "combo" not in paid
    assert await send(home, "key") == paid | {"replayed": True}
    await home.tell_all()
    assert len(await home.announced()) == 1


async def test_payers_who_ask_together_get_their_own_combo(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "COMBO_SECONDS", 60.0)
    await home.api.relay.start()
    answers = await asyncio.gather(*(send(home, f"key-{number}") for number in range(20)))
    announced = {gift.transaction_id: gift.combo for gift in await home.announced()}
    for answer in answers:
        combo = announced[answer["transaction_id"]]
        assert combo is not None
        assert answer["combo"]["count"] == combo.count
