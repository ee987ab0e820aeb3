"""Canaries: a node at its most talkative, used and abused, writes no secret into its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from pathlib import Path

import socketio

from tests.processes import NodeProcess, run_flylive, running_node

SERVICE_KEY = "canary-service-key-0001"
TOKEN_KEY = "canary-token-key-0002-canary-token-key-0002"
PASSWORD = "canary-password-0003"
WRONG_KEY = "canary-wrong-key-0004"
WAIT_SECONDS = 30
ENVIRONMENT = {
    "FLYLIVE_SERVICE_KEY": SERVICE_KEY,
    "FLYLIVE_AUTH_TOKEN_KEYS": json.dumps([{"kid": "canary", "secret": TOKEN_KEY}]),
}


def _request(node: NodeProcess, method: str, path: str, key: str, body: object = None) -> int:
    request = urllib.request.Request(
        node.url + path,
        method=method,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        data=None if body is None else json.dumps(body).encode(),
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


async def _visit(node: NodeProcess, token: str) -> None:
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(node.url, auth={"token": token}, transports=["websocket"], wait_timeout=WAIT_SECONDS)
    assert not (await client.call("room:join", {"password": f"{PASSWORD}-wrong"}))["ok"]
    assert (await client.call("room:join", {"password": PASSWORD}))["ok"]
    await client.call("sys:refresh_token", {"token": f"{token}x"})
    await client.call("room:join", {"pasword": PASSWORD})
    await client.disconnect()
    for refused in (f"{token}x", WRONG_KEY):
        other = socketio.AsyncClient(reconnection=False)
        with contextlib.suppress(socketio.exceptions.ConnectionError):
            await other.connect(
                node.url, auth={"token": refused}, transports=["websocket"], wait_timeout=WAIT_SECONDS
            )


def test_no_secret_gets_into_the_log(data_directory: Path) -> None:
    made = run_flylive("token", "create", "--room", "secret", "--user", "ada", **ENVIRONMENT)
    token = made.stdout.strip()
    with running_node(
        data_directory, FLYLIVE_LOG_LEVEL="debug", FLYLIVE_LOG_FORMAT="json", **ENVIRONMENT
    ) as node:
        room = {"room_id": "secret", "name": "x", "owner_id": "bea", "password": PASSWORD}
        assert _request(node, "POST", "/v1/rooms", SERVICE_KEY, room) == 201
        assert _request(node, "POST", "/v1/rooms", WRONG_KEY, room) == 401
        assert _request(node, "POST", "/v1/rooms", SERVICE_KEY, room | {"pasword": PASSWORD}) >= 400
        assert _request(node, "POST", "/v1/tokens/validate", SERVICE_KEY, {"token": token}) == 200
        assert _request(node, "GET", f"/v1/rooms?token={token}", SERVICE_KEY) in (200, 400, 422)
        asyncio.run(_visit(node, token))
    log = node.log + node.output
    assert "canary" not in log, [line for line in log.splitlines() if "canary" in line][:3]
    assert token.split(".")[2] not in log
    for line in node.log.splitlines():
        assert isinstance(json.loads(line), dict)
