"""The steps every request goes through."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from state import settings as configuration
from tests.api.house import ROOM, SERVICE_KEY, SETTINGS, House, house

HEADERS = {"Authorization": f"Bearer {SERVICE_KEY}"}


async def test_paths_and_methods_that_do_not_exist_get_the_envelope(home: House) -> None:
    assert await home.code("GET", "/nothing/here") == (404, "PAYLOAD_INVALID")
    async with home.client.delete("/v1/gifts") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET"
        assert (await response.json())["success"] is False


async def test_a_request_id_is_kept_or_made(home: House) -> None:
    async with home.client.get("/v1/gifts", headers={"X-Request-Id": "mine"}) as response:
        assert response.headers["X-Request-Id"] == "mine"
    async with home.client.get("/v1/gifts", headers={"X-Request-Id": "not mine\\"}) as response:
        assert len(response.headers["X-Request-Id"]) == 26


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 422),
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"null", "application/json", 422),
        (b"[" * 100_000, "application/json", 413),
        (b"[" * 60_000, "application/json", 422),
        (b'{"name": "' + b"x" * 70_000 + b'"}', "application/json", 413),
        (b'{"name":"x","owner_id":"eve"}', "text/plain", 422),
        (b'{"name":"x","owner_id":"eve","capacity":1e999}', "application/json", 422),
        (b'{"name":"\\u0000","owner_id":"eve","capacity":99999999999999999999}', "application/json", 422),
    ],
)
async def test_bodies_that_are_none(home: House, body: bytes, content_type: str, status: int) -> None:
    headers = {**HEADERS, "Content-Type": content_type}
    async with home.client.post("/v1/rooms", data=body, headers=headers) as response:
        assert response.status == status
        assert (await response.json())["errors"]["code"] == "PAYLOAD_INVALID"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "page=2", "limit=1&limit=2"])
async def test_queries_that_are_none(home: House, query: str) -> None:
    assert await home.code("GET", f"/rooms?{query}") == (422, "PAYLOAD_INVALID")


async def test_a_malformed_id_in_the_path_is_refused(home: House) -> None:
    for name in ("a%20b", "x" * 65, "%00", "..%2f..", "';--"):
        assert (await home.code("GET", f"/rooms/{name}"))[0] in (404, 422)


async def test_who_calls_too_often_is_told_when_to_come_back(redis_url: str, database_url: str) -> None:
    api = configuration.Api(address_requests_per_second=1.0, user_requests_per_second=1.0)
    settings = msgspec.structs.replace(SETTINGS, api=api)
    async with house(redis_url, database_url, settings=settings) as home:
        for _ in range(2):
            await home.data("GET", "/gifts", bearer="")
        async with home.client.get("/v1/gifts") as response:
            assert response.status == 429
            assert response.headers["Retry-After"] == "1"
            assert (await response.json())["errors"]["code"] == "RATE_LIMITED"
        for _ in range(20):
            await home.data("GET", "/gifts")
        guesses = [await home.code("GET", "/rooms", bearer="wrong") for _ in range(3)]
        assert (429, "RATE_LIMITED") in guesses


async def test_a_defect_leaves_as_a_code_with_its_request(home: House, monkeypatch: Any) -> None:
    async def broken(*_arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(home.api.books, "wallets", broken)
    status, envelope = await home.request("GET", "/users/ada/wallet")
    assert (status, envelope["errors"]["code"]) == (500, "INTERNAL")
    assert "Zero" not in envelope["message"]


async def test_secrets_are_not_in_the_log(home: House, capfd: Any) -> None:
    await home.data("POST", f"/rooms/{ROOM}/tokens", {"user_id": "ada"})
    await home.code("GET", "/rooms", bearer="a-wrong-key-canary")
    captured = capfd.readouterr()
    for secret in (SERVICE_KEY, "a-wrong-key-canary", "eyJ"):
        assert secret not in captured.out + captured.err


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Content-Encoding", "gzip", 422),
        ("Content-Encoding", "br", 422),
        ("Authorization", "Basic dXNlcjpwYXNz", 401),
        ("Authorization", "Bearer", 401),
        ("Authorization", "Bearer  ", 401),
        ("Authorization", "Bearer a.b.c", 401),
        ("Authorization", "Bearer \u00e9" + "x" * 7_000, 401),
        ("X-Request-Id", "x" * 7_000, 201),
        ("If-None-Match", "*" * 7_000, 201),
        ("X-Forwarded-For", "'; DROP TABLE ledger.accounts; --", 201),
    ],
)
async def test_headers_that_are_none(home: House, name: str, value: str, status: int) -> None:
    body = b'{"name": "x", "owner_id": "eve"}'
    headers = {**HEADERS, "Content-Type": "application/json", name: value}
    request = home.client.post("/v1/rooms", data=body, headers=headers)
    async with request as response:
        assert response.status == status
        assert (await response.json())["success"] is (status == 201)
