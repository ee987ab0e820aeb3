"""Between names with plain bodies and our types.

Decoding is strict: unknown names, unknown fields, wrong types and broken bounds are refused with the field
that is wrong. Encoding leaves out what only the document needs.

An event that concerns only some is, for all others, *passed over*: they get at its sequence number the
room's settings as they are, which changes nothing, so that every client's numbers stay without a gap.
"""

import re
from typing import Any, Final, cast

import msgspec

from state.commands import COMMAND_TYPES, Command
from state.events import (
    EVENT_TYPES,
    HIDDEN,
    LOSSY_EVENT_TYPES,
    USER_EVENT_TYPES,
    Happening,
    Recorded,
    RoomUpdated,
    concerned,
    name_of,
)
from state.identity import Actor
from state.rejections import Code, Rejection
from state.room import Room, is_admin, role_of

_PATH: Final = re.compile(r"`\$\.?([^`]*)`$")
_FIELD: Final = re.compile(r"field `([^`]+)`")


def decode_command(name: str, body: Any) -> Command | Rejection:
    """The command of this name, or PAYLOAD_INVALID with the field that is wrong."""
    kind = COMMAND_TYPES.get(name)
    if kind is None:
        return _malformed(f"unknown command: {name[:64]}", ["command"])
    if not isinstance(body, dict):
        return _malformed("one object of fields is expected", [])
    if "command" in body:
        return _malformed("Object contains unknown field `command`", ["command"])
    try:
        command = msgspec.convert(body, kind)
        msgspec.msgpack.encode(command)  # half a surrogate pair is a str, but no text
        return cast(Command, command)
    except (msgspec.ValidationError, UnicodeError) as error:
        return _malformed(str(error), _fields_of(str(error)))


def _malformed(message: str, fields: list[str]) -> Rejection:
    return Rejection(Code.PAYLOAD_INVALID, message, details={"fields": fields})


def _fields_of(sentence: str) -> list[str]:
    named = _FIELD.search(sentence)
    path = _PATH.search(sentence)
    parts = [part for part in (path.group(1) if path else "", named.group(1) if named else "") if part]
    return [".".join(parts)] if parts else []


def encode_event(room_id: str, recorded: Recorded) -> tuple[str, dict[str, Any]]:
    """The name and body that clients get."""
    name, body = encode_fields(recorded.event)
    body["room_id"] = room_id
    body["seq"] = recorded.seq
    body["at"] = recorded.at
    body["by"] = recorded.by
    return name, body


def encode_fields(event: Happening) -> tuple[str, dict[str, Any]]:
    """The name and fields of an event without its place, as the lossy and personal lanes need them."""
    body: dict[str, Any] = msgspec.to_builtins(event)
    name = body.pop("event")
    for field in HIDDEN.get(type(event), ()):
        del body[field]
    return name, body


def seen_by(room: Room, recorded: Recorded, viewer: Actor) -> Recorded:
    """The event as this viewer may see it: itself, or passed over."""
    whom = concerned(recorded.event)
    if whom is None or (whom.user_id is not None and whom.user_id == viewer.user_id):
        return recorded
    if whom.admins and is_admin(role_of(room, viewer)):
        return recorded
    return passed_over(room, recorded)


def passed_over(room: Room, recorded: Recorded) -> Recorded:
    """What those get whom an event does not concern."""
    event = RoomUpdated(settings=room.settings)
    return Recorded(recorded.epoch, recorded.seq, recorded.at, None, event)


def _schemas(types: dict[str, type[Any]], tag_field: str) -> tuple[dict[str, Any], dict[str, Any]]:
    names = list(types)
    schemas, components = msgspec.json.schema_components(
        [types[name] for name in names], ref_template="#/components/schemas/{name}"
    )
    for name, schema in zip(names, schemas, strict=True):
        component = components[schema["$ref"].rpartition("/")[2]]
        component["properties"].pop(tag_field, None)
        if tag_field in component.get("required", ()):
            component["required"] = [field for field in component["required"] if field != tag_field]
        for field in HIDDEN.get(types[name], ()):
            component["properties"].pop(field, None)
    return dict(zip(names, schemas, strict=True)), components


def command_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON Schema of every command by name, and the components they refer to."""
    return _schemas(dict(COMMAND_TYPES), "command")


def event_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON Schema of every event that clients get by name, and the components they refer to."""
    public = {name: kind for name, kind in EVENT_TYPES.items() if not name.startswith("internal:")}
    return _schemas({**public, **LOSSY_EVENT_TYPES, **USER_EVENT_TYPES}, "event")


__all__ = [
    "command_schema",
    "decode_command",
    "encode_event",
    "encode_fields",
    "event_schema",
    "name_of",
    "passed_over",
    "seen_by",
]
