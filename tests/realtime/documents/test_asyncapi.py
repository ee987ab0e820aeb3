"""The AsyncAPI document says of every message what the code does with it."""

from typing import Any

import pytest

from realtime.documents.asyncapi import asyncapi, lane_of
from state.commands import COMMAND_TYPES
from state.events import EVENT_TYPES, LOSSY_EVENT_TYPES, USER_EVENT_TYPES

DOCUMENT = asyncapi("1.0.0")
MESSAGES: dict[str, dict[str, Any]] = {
    message["name"]: message for message in DOCUMENT["components"]["messages"].values()
}


def _references(part: object) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in part.values()))
    return set().union(*(_references(value) for value in part)) if isinstance(part, list) else set()


def test_every_message_of_the_contract_is_there_and_no_internal_one() -> None:
    public = {*EVENT_TYPES, *LOSSY_EVENT_TYPES, *USER_EVENT_TYPES, *COMMAND_TYPES}
    assert set(MESSAGES) == {name for name in public if not name.startswith("internal:")}


def test_every_reference_leads_somewhere() -> None:
    for reference in _references(DOCUMENT):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


@pytest.mark.parametrize(
    ("name", "numbered"), [("seat:changed", True), ("audio:levels", False), ("wallet:updated", False)]
)
def test_only_the_room_lane_is_numbered(name: str, numbered: bool) -> None:
    schema = DOCUMENT["components"]["schemas"][MESSAGES[name]["payload"]["$ref"].rpartition("/")[2]]
    assert ("seq" in schema["properties"]) is numbered
    assert (lane_of(name) == "room") is numbered


def test_what_only_the_document_needs_stays_out() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert "password_hash" not in schemas["RoomUpdated"]["properties"]
    assert "cooldowns" not in schemas["SeatChanged"]["properties"]
