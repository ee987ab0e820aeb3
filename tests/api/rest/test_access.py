"""Who may call: keys, scopes, tokens."""

from __future__ import annotations

import time

import pytest

from state.service_keys import console_pass
from tests.api.house import READ_KEY, SERVICE_KEY, House


@pytest.mark.parametrize(
    ("bearer", "method", "path", "refusal"),
    [
        ("", "GET", "/rooms", (401, "AUTH_REQUIRED")),
        ("not-a-key", "GET", "/rooms", (401, "TOKEN_INVALID")),
        ("not-a-key", "GET", "/gifts", (401, "TOKEN_INVALID")),
        (READ_KEY, "GET", "/rooms", (403, "FORBIDDEN")),
        (READ_KEY, "PUT", "/gifts/rose", (403, "FORBIDDEN")),
    ],
)
async def test_doors_that_stay_shut(
    home: House, bearer: str, method: str, path: str, refusal: tuple[int, str]
) -> None:
    assert await home.code(method, path, bearer=bearer) == refusal


async def test_a_key_opens_what_its_scopes_say(home: House) -> None:
    wallet = await home.data("GET", "/users/ada/wallet", bearer=READ_KEY)
    assert wallet["coins"] == 0


async def test_a_pass_of_the_console_opens_rooms_and_no_money(home: House) -> None:
    console = console_pass(SERVICE_KEY, int(time.time() + 60) * 1000)
    assert "rooms" in await home.data("GET", "/rooms", bearer=console)
    assert await home.code("GET", "/users/ada/wallet", bearer=console) == (403, "FORBIDDEN")
    late = console_pass(SERVICE_KEY, int(time.time() - 1) * 1000)
    assert await home.code("GET", "/rooms", bearer=late) == (401, "TOKEN_INVALID")


async def test_users_see_their_own_money_only(home: House) -> None:
    token = home.token("ada")
    assert (await home.data("GET", "/users/ada/wallet", bearer=token))["user_id"] == "ada"
    for path in ("/users/bob/wallet", "/users/bob/transactions"):
        assert await home.code("GET", path, bearer=token) == (403, "FORBIDDEN")
    assert await home.code("GET", "/rooms", bearer=token) == (403, "FORBIDDEN")


async def test_a_token_whose_time_is_over_is_refused(home: House) -> None:
    past = int(time.time()) - 100
    token = home.token("ada", issued_at=past - 100, expires_at=past)
    assert await home.code("GET", "/users/ada/wallet", bearer=token) == (401, "TOKEN_EXPIRED")
