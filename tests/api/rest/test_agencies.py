"""Agencies through REST."""

from __future__ import annotations

from tests.api.house import OWNER, House
from tests.api.test_outbox import pay


async def diamonds(home: House, user_id: str) -> int:
    wallet = await home.data("GET", f"/users/{user_id}/wallet")
    return int(wallet["diamonds"])


async def test_an_agency_takes_its_part_of_what_its_members_earn(home: House) -> None:
    await home.fill("ada", 10_000)
    status, made = await home.request("PUT", "/agencies/stars", {"commission_bps": 2_000})
    assert (status, made["data"]) == (201, {"agency_id": "stars", "commission_bps": 2_000})
    member = f"/agencies/stars/members/{OWNER}"
    assert (await home.data("PUT", member, {}))["commission_bps"] is None
    await pay(home, key="1")
    assert await diamonds(home, OWNER) == 50 - 10
    await home.data("PUT", member, {"commission_bps": 5_000})
    await pay(home, key="2")
    assert await diamonds(home, OWNER) == 40 + 25
    assert await home.data("DELETE", member) is None
    await pay(home, key="3")
    assert await diamonds(home, OWNER) == 65 + 50
    await home.tell_all()
    board = await home.data("GET", "/boards/agencies")
    assert board["entries"] == [{"rank": 1, "id": "stars", "amount": 35}]
    assert await home.faults() == []


async def test_who_is_no_member_can_not_leave(home: House) -> None:
    assert (await home.code("DELETE", "/agencies/stars/members/ada"))[0] == 404
    assert await home.code("PUT", "/agencies/stars", {"commission_bps": 10_001}) == (422, "PAYLOAD_INVALID")
