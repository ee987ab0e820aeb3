"""TypeScript types of commands, acks and events, from the AsyncAPI document.

`Commands` maps a command's name to its fields and `Events` an event's name to its body, so that a typed
client is one generic function over each.
"""

import json
from typing import Any

INDENT = "  "


def typescript(document: dict[str, Any]) -> str:
    schemas = document["components"]["schemas"]
    lines = [f"// FlyLive Realtime {document['info']['version']}: generated from the server's own types.", ""]
    for name, schema in sorted(schemas.items()):
        lines += _declaration(name, schema)
    lines += _map("Commands", document, "command")
    lines += _map("Events", document, "event")
    lines += [
        "/** A typed view of a Socket.IO client: `const room = socket as FlyLiveSocket`. */",
        "export interface FlyLiveSocket {",
        "  emitWithAck<Name extends keyof Commands>(name: Name, fields: Commands[Name]): Promise<Ack>;",
        "  on<Name extends keyof Events>(name: Name, listener: (body: Events[Name]) => void): unknown;",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _map(title: str, document: dict[str, Any], kind: str) -> list[str]:
    messages = document["components"]["messages"].values()
    chosen = sorted(
        (message for message in messages if message["x-kind"] == kind), key=lambda one: one["name"]
    )
    rows = [f"{INDENT}{json.dumps(message['name'])}: {type_of(message['payload'])};" for message in chosen]
    return [f"export interface {title} {{", *rows, "}", ""]


def _declaration(name: str, schema: dict[str, Any]) -> list[str]:
    comment = [f"/** {_comment(schema['description'])} */"] if schema.get("description") else []
    if schema.get("type") == "object" and "properties" in schema:
        return [*comment, f"export interface {name} {_members(schema, '')}", ""]
    return [*comment, f"export type {name} = {type_of(schema)};", ""]


def _comment(text: str) -> str:
    return " ".join(text.split()).replace("*/", "* /")


def _members(schema: dict[str, Any], indent: str) -> str:
    required = set(schema.get("required", ()))
    rows = []
    for name, field in schema.get("properties", {}).items():
        mark = "" if name in required else "?"
        rows.append(f"{indent}{INDENT}{name}{mark}: {type_of(field, indent + INDENT)};")
    return "{\n" + "\n".join([*rows, f"{indent}}}"]) if rows else "{}"


def type_of(schema: dict[str, Any], indent: str = "") -> str:
    """One schema as a TypeScript type."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " | ".join(dict.fromkeys(type_of(choice, indent) for choice in choices))
    kind = schema.get("type")
    if kind == "array":
        return _array(schema, indent)
    if kind == "object":
        return _object(schema, indent)
    plain = {
        "string": "string",
        "integer": "number",
        "number": "number",
        "boolean": "boolean",
        "null": "null",
    }
    return plain.get(str(kind), "unknown")


def _array(schema: dict[str, Any], indent: str) -> str:
    if schema.get("prefixItems"):
        return "[" + ", ".join(type_of(item, indent) for item in schema["prefixItems"]) + "]"
    items = schema.get("items")
    return f"Array<{type_of(items, indent)}>" if isinstance(items, dict) else "unknown[]"


def _object(schema: dict[str, Any], indent: str) -> str:
    if schema.get("properties"):
        return _members(schema, indent)
    values = schema.get("additionalProperties")
    return (
        f"Record<string, {type_of(values, indent)}>"
        if isinstance(values, dict)
        else "Record<string, unknown>"
    )
