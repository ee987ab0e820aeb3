"""Rooms through REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.house import ROOM, House


async def test_a_room_is_made_listed_changed_and_closed(home: House) -> None:
    made = await home.data(
        "POST",
        "/rooms",
        {"room_id": "new", "name": "New", "owner_id": "eve", "seat_count": 5, "password": "x"},
    )
    assert (made["room_id"], made["owner_id"], made["settings"]["seat_count"]) == ("new", "eve", 5)
    assert made["settings"]["has_password"] is True
    listed = await home.data("GET", "/rooms")
    assert sorted(room["room_id"] for room in listed["rooms"]) == ["new", ROOM]
    changed = await home.data("PATCH", "/rooms/new", {"theme": "night"})
    assert changed["settings"]["theme"] == "night"
    assert changed["settings"]["name"] == "New"
    assert (await home.data("GET", "/rooms/new"))["settings"] == changed["settings"]
    assert await home.data("DELETE", "/rooms/new") is None
    listed = await home.data("GET", "/rooms")
    assert [room["room_id"] for room in listed["rooms"]] == [ROOM]


async def test_pages_of_rooms_have_no_gap_and_no_repeat(home: House) -> None:
    for number in range(7):
        await home.open_room(f"room-{number}")
    seen, cursor = [], ""
    while True:
        page = await home.data("GET", f"/rooms?limit=3{cursor}")
        seen += [room["room_id"] for room in page["rooms"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == sorted({ROOM, *(f"room-{number}" for number in range(7))})


async def test_an_id_is_made_when_none_is_given(home: House) -> None:
    made = await home.data("POST", "/rooms", {"name": "New", "owner_id": "eve"})
    assert len(made["room_id"]) == 26


async def test_what_exists_or_does_not_is_said(home: House) -> None:
    body = {"room_id": ROOM, "name": "New", "owner_id": "eve"}
    assert await home.code("POST", "/rooms", body) == (409, "ROOM_EXISTS")
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/snapshot"), ("GET", "/events?after=0")):
        assert await home.code(method, f"/rooms/nowhere{path}") == (404, "ROOM_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"owner_id": "eve"}, "name"),
        ({"name": "x", "owner_id": "e v e"}, "owner_id"),
        ({"name": "x", "owner_id": "eve", "seat_count": 0}, "seat_count"),
        ({"name": "x", "owner_id": "eve", "seat_count": "9"}, "seat_count"),
        ({"name": "x", "owner_id": "eve", "is_admin": True}, "is_admin"),
        ({"name": "x", "owner_id": "eve'; DROP TABLE ledger.accounts; --"}, "owner_id"),
    ],
)
async def test_a_wrong_field_is_named(home: House, body: dict[str, Any], field: str) -> None:
    status, envelope = await home.request("POST", "/rooms", body)
    assert (status, envelope["errors"]["code"]) == (422, "PAYLOAD_INVALID")
    assert envelope["errors"]["fields"] == [field]


async def test_commands_act_as_the_system_or_for_a_user(home: House) -> None:
    await home.enter("ada")
    path = f"/rooms/{ROOM}/commands"
    taken = await home.data("POST", path, {"command": "seat:take", "fields": {"index": 3}, "as_user": "ada"})
    assert taken["data"]["seat"]["index"] == 3
    await home.data("POST", path, {"command": "seat:lock", "fields": {"index": 4, "locked": True}})
    snapshot = await home.data("GET", f"/rooms/{ROOM}/snapshot")
    assert snapshot["seats"][3]["user"]["user_id"] == "ada"
    assert snapshot["seats"][4]["locked"] is True
    events = await home.data("GET", f"/rooms/{ROOM}/events?after=0")
    assert [name for name, _ in events["events"]].count("seat:changed") == 2
    assert events["seq"] == snapshot["seq"]


@pytest.mark.parametrize(
    "body",
    [
        {"command": "sys:time", "fields": {"t0": 1}},
        {"command": "room:join"},
        {"command": "internal:announce_gift"},
        {"command": "gift:send", "fields": {}},
        {"command": "seat:take", "fields": {"index": 1, "as": "root"}},
        {"command": "seat:take", "fields": []},
    ],
)
async def test_commands_that_are_not_the_rooms_are_refused(home: House, body: dict[str, Any]) -> None:
    assert await home.code("POST", f"/rooms/{ROOM}/commands", body) == (422, "PAYLOAD_INVALID")


async def test_a_command_for_someone_outside_the_room_is_refused(home: House) -> None:
    body = {"command": "seat:take", "fields": {"index": 1}, "as_user": "stranger"}
    assert await home.code("POST", f"/rooms/{ROOM}/commands", body) == (409, "NOT_IN_ROOM")


async def test_moderation_leaves_a_record(home: House) -> None:
    body = {"command": "mod:ban", "fields": {"user_id": "eve"}}
    await home.data("POST", f"/rooms/{ROOM}/commands", body)
    record = await home.pool.fetchrow("SELECT caller, operation, target, outcome FROM ledger.audit")
    assert tuple(record) == ("service:service", "perform_command", ROOM, "done")
