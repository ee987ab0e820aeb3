"""Tokens through REST."""

from __future__ import annotations

import time

from state.commands import ModBan
from state.identity import SYSTEM
from state.tokens import Claims, verify
from tests.api.house import KEYRING, ROOM, House


async def test_a_token_says_what_was_asked_for(home: House) -> None:
    issued = await home.data(
        "POST",
        f"/rooms/{ROOM}/tokens",
        {"user_id": "ada", "role": "admin", "name": "Ada", "vip": 3, "perms": ["seat:take"], "ttl_s": 60},
    )
    claims = verify(issued["token"], KEYRING, int(time.time() * 1000), room_id=ROOM)
    assert isinstance(claims, Claims)
    assert (claims.user_id, claims.role, claims.vip) == ("ada", "admin", 3)
    assert claims.permissions == frozenset({"seat:take"})
    assert claims.expires_at - claims.issued_at == 60
    assert issued["expires_at"] == claims.expires_at * 1000
    assert issued["socket_url"].startswith("http")
    shown = await home.data("POST", "/tokens/validate", {"token": issued["token"]})
    assert (shown["user_id"], shown["room_id"], shown["perms"]) == ("ada", ROOM, ["seat:take"])


async def test_a_long_stay_renews_its_token(home: House) -> None:
    renewed = await home.data("POST", "/tokens/refresh", {}, bearer=home.token("ada", vip=7))
    claims = verify(renewed["token"], KEYRING, int(time.time() * 1000))
    assert isinstance(claims, Claims)
    assert (claims.user_id, claims.vip) == ("ada", 7)
    again = await home.data("POST", "/tokens/refresh", {"token": renewed["token"]})
    assert again["token"] != renewed["token"]


async def test_a_user_can_not_stretch_its_stay_or_renew_anothers(home: House) -> None:
    token = home.token("ada")
    for body in ({"ttl_s": 3_600}, {"token": home.token("bob")}):
        refusal = await home.code("POST", "/tokens/refresh", body, bearer=token)
        assert refusal == (403, "FORBIDDEN")


async def test_a_banned_user_gets_no_token_and_no_renewal(home: House) -> None:
    token = home.token("ada")
    await home.kernel.rooms.perform(ROOM, SYSTEM, ModBan(user_id="ada"))
    banned = (403, "BANNED")
    assert await home.code("POST", f"/rooms/{ROOM}/tokens", {"user_id": "ada"}) == banned
    assert await home.code("POST", "/tokens/refresh", {}, bearer=token) == banned
    assert await home.code("POST", "/tokens/refresh", {"token": token}) == banned
    await home.data("POST", f"/rooms/{ROOM}/tokens", {"user_id": "bob"})


async def test_no_token_for_a_room_that_is_not_there_or_for_too_long(home: House) -> None:
    assert await home.code("POST", "/rooms/nowhere/tokens", {"user_id": "ada"}) == (404, "ROOM_NOT_FOUND")
    body = {"user_id": "ada", "ttl_s": 86_401}
    assert await home.code("POST", f"/rooms/{ROOM}/tokens", body) == (422, "PAYLOAD_INVALID")


async def test_a_bad_token_does_not_validate(home: House) -> None:
    body = {"token": home.token("ada")[:-2] + "xx"}
    assert await home.code("POST", "/tokens/validate", body) == (401, "TOKEN_INVALID")
