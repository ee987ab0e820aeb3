"""The socket's contract as an AsyncAPI 3.0 document, from the message types that also decode and encode.

A message's payload is the object a client sends or gets; where an event comes from a room it also carries its
place (`room_id, seq, at, by`), and a third argument, the position, that applications ignore.
"""

from typing import Any, Final

from state.events import LOSSY_EVENT_TYPES, USER_EVENT_TYPES
from state.rejections import Code
from state.wire import command_schema, event_schema

VERSION: Final = "3.0.0"
IDENTIFIER: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
PLACE: Final[dict[str, Any]] = {
    "room_id": IDENTIFIER,
    "seq": {"type": "integer", "minimum": 1, "description": "Grows by exactly 1 per room and epoch."},
    "at": {"type": "integer", "description": "Server time in epoch milliseconds."},
    "by": {
        "anyOf": [IDENTIFIER, {"type": "null"}],
        "description": "Who acted; null when the server did.",
    },
}


def asyncapi(version: str) -> dict[str, Any]:
    commands, command_parts = command_schema()
    events, event_parts = event_schema()
    schemas = {**command_parts, **event_parts, **_acks()}
    messages = {_key(name): _command(name, schema, schemas) for name, schema in commands.items()}
    messages |= {_key(name): _event(name, schema, schemas) for name, schema in events.items()}
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "FlyLive Realtime",
            "version": version,
            "description": "Socket.IO v5 at /socket.io/, namespace /, JSON or msgpack parser. "
            "Every command takes one object and is acknowledged with `Ack`.",
        },
        "channels": {
            "socket": {
                "address": "/socket.io/",
                "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in messages},
            }
        },
        "operations": {
            "commands": _operation("receive", commands),
            "events": _operation("send", events),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _key(name: str) -> str:
    return name.replace(":", ".")


def _operation(action: str, names: dict[str, Any]) -> dict[str, Any]:
    refs = [{"$ref": f"#/channels/socket/messages/{_key(name)}"} for name in names]
    return {"action": action, "channel": {"$ref": "#/channels/socket"}, "messages": refs}


def _named(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = schemas[schema["$ref"].rpartition("/")[2]]
    return part


def _command(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    summary = _named(schema, schemas).get("description", "")
    return {"name": name, "summary": summary, "x-kind": "command", "payload": schema}


def lane_of(name: str) -> str:
    """`room` (numbered, stored, replayed), `lossy` (may be dropped) or `user` (to one user)."""
    if name in LOSSY_EVENT_TYPES:
        return "lossy"
    return "user" if name in USER_EVENT_TYPES else "room"


def _event(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    part = _named(schema, schemas)
    lane = lane_of(name)
    if lane == "room":
        part["properties"] = {**part.get("properties", {}), **PLACE}
        part["required"] = [*part.get("required", []), *PLACE]
        part.pop("additionalProperties", None)
    summary = part.get("description", "")
    return {"name": name, "summary": summary, "x-kind": "event", "x-lane": lane, "payload": schema}


def _acks() -> dict[str, Any]:
    failure = {
        "type": "object",
        "properties": {
            "code": {"enum": [code.value for code in Code]},
            "message": {"type": "string"},
            "retry": {"enum": ["never", "after_change", "later"]},
            "retry_after_ms": {"type": "integer", "minimum": 0},
            "details": {"type": "object"},
        },
        "required": ["code", "message", "retry"],
    }
    accepted = {
        "type": "object",
        "properties": {"ok": {"const": True}, "data": {"type": "object"}},
        "required": ["ok", "data"],
    }
    refused = {
        "type": "object",
        "properties": {"ok": {"const": False}, "error": {"$ref": "#/components/schemas/Failure"}},
        "required": ["ok", "error"],
    }
    references = [{"$ref": f"#/components/schemas/{name}"} for name in ("Accepted", "Refused")]
    return {"Failure": failure, "Accepted": accepted, "Refused": refused, "Ack": {"anyOf": references}}
