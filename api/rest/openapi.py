"""The OpenAPI 3.1 document, read off the table of routes and the types it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, get_args

import msgspec

from api.rest.calls import IdempotencyKey, NoQuery, Route
from api.rest.replies import Failure
from state.ids import ID_PATTERN
from state.rejections import Code

_TEMPLATE: Final = "#/components/schemas/{name}"
# What any route may refuse: what was sent, who sent it, how often, and what failed behind it.
_ALWAYS: Final = (Code.PAYLOAD_INVALID, Code.RATE_LIMITED, Code.UNAVAILABLE, Code.INTERNAL)
_GUARDED: Final = (Code.AUTH_REQUIRED, Code.TOKEN_INVALID, Code.TOKEN_EXPIRED, Code.FORBIDDEN)
# A wrong bearer is refused even where none is needed.
_OPEN: Final = (Code.AUTH_REQUIRED, Code.TOKEN_INVALID, Code.TOKEN_EXPIRED)
_TOO_LARGE: Final = 413


def document(routes: Sequence[Route], version: str, server_url: str = "/") -> dict[str, Any]:
    """The whole document."""
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FlyLive Realtime",
            "version": version,
            "description": "Rooms, tokens and gifts. Answers stand in an envelope: success, message, data or "
            "errors, timestamp. A refusal has a code.",
        },
        "servers": [{"url": server_url}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "service": {"type": "http", "scheme": "bearer", "description": "A service key."},
                "user": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A room token.",
                },
            },
        },
    }


def _types(routes: Sequence[Route]) -> list[Any]:
    types: dict[Any, None] = {Failure: None, IdempotencyKey: None}
    for route in routes:
        for kind in (route.body, route.query, *route.gives.values()):
            if kind is not None:
                types[kind] = None
    return list(types)


def _operation(route: Route, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.path.split("/")[2]],
        "parameters": _parameters(route, schemas, components),
        "responses": _responses(route, schemas),
        "security": _security(route),
    }
    if route.scope is not None:
        operation["description"] = f"Backends need the scope `{route.scope}`."
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[route.body]}},
        }
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.anybody:
        return []
    doors: list[dict[str, list[str]]] = []
    if route.scope is not None:
        doors.append({"service": []})
    if route.users:
        doors.append({"user": []})
    return doors


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    found: dict[str, Any] = schema if reference is None else components[reference.rpartition("/")[2]]
    return found


def _parameters(route: Route, schemas: dict[Any, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _name_schema(route, name)}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not NoQuery:
        schema = _resolved(schemas[route.query], components)
        required = schema.get("required", [])
        for name, field in schema["properties"].items():
            found.append(
                {"name": name, "in": "query", "required": name in required, "schema": _without_null(field)}
            )
    if route.needs_key:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "schema": schemas[IdempotencyKey],
                "description": "Made by the client, kept for good: the same key never acts twice.",
            }
        )
    return found


def _name_schema(route: Route, name: str) -> dict[str, Any]:
    kind = route.names.get(name)
    if kind is not None:
        return {"enum": list(get_args(kind))}
    return {"type": "string", "pattern": ID_PATTERN, "minLength": 1, "maxLength": 64}


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it is never null."""
    options = [option for option in field.get("anyOf", []) if option != {"type": "null"}]
    if not options:
        return field
    shown = {name: value for name, value in field.items() if name not in ("anyOf", "default")}
    return {**shown, **options[0]}


def _responses(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    found = {str(status): _success(schemas, kind, status) for status, kind in sorted(route.gives.items())}
    codes = [*_ALWAYS, *(_OPEN if route.anybody else _GUARDED), *route.refuses]
    by_status: dict[int, list[str]] = {}
    for code in codes:
        names = by_status.setdefault(code.http_status, [])
        if code not in names:
            names.append(str(code))
    if route.body is not None:
        by_status[_TOO_LARGE] = [str(Code.PAYLOAD_INVALID)]
    if route.may_miss:
        by_status.setdefault(404, []).append(str(Code.PAYLOAD_INVALID))
    for status, names in sorted(by_status.items()):
        found[str(status)] = {
            "description": ", ".join(names),
            "content": {"application/json": {"schema": schemas[Failure]}},
        }
    return found


def _success(schemas: dict[Any, Any], kind: Any, status: int) -> dict[str, Any]:
    if status == 304:
        return {"description": "Not changed."}
    envelope = {
        "type": "object",
        "properties": {
            "success": {"const": True},
            "message": {"type": "string"},
            "data": {"type": "null"} if kind is None else schemas[kind],
            "timestamp": {"type": "integer"},
        },
        "required": ["success", "message", "data", "timestamp"],
    }
    return {"description": "Done.", "content": {"application/json": {"schema": envelope}}}
