"""One-time links: printed by `flylive console`, good once and for a while, on any node, in nobody's log."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from realtime.console import links
from realtime.console.answers import Refused
from realtime.console.links import Links
from state.kernel import build_kernel
from state.keys import Keys
from state.service_keys import ServiceKeys
from state.settings import Auth, Redis, Settings
from tests.processes import NodeProcess, run_flylive, running_node

KEY = "development-service-key"
SECRET_LENGTH = 43


def ask(node: NodeProcess, method: str, path: str, body: Any = None, bearer: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(
        node.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status), json.loads(answer.read())["data"]
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["errors"]["code"]


def printed_link(node: NodeProcess) -> str:
    done = run_flylive("console", "--url", node.url)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_printed_link_opens_the_console_once_on_any_node(data_directory: Path) -> None:
    with running_node(data_directory, FLYLIVE_LOG_LEVEL="debug") as one:
        urls = json.loads((data_directory / "urls.json").read_text())
        names = {"redis_url": "FLYLIVE_REDIS_URL", "database_url": "FLYLIVE_DATABASE_URL"}
        shared = {names[name]: url for name, url in urls.items() if name in names}
        page, _, secret = printed_link(one).partition("#")
        assert page == f"{one.url}/console"
        assert len(secret) == SECRET_LENGTH
        with running_node(data_directory.with_name("second"), **shared) as other:
            status, session = ask(other, "POST", "/v1/console/sessions", {"secret": secret})
            assert status == 200
            assert 0 < session["ends_at"] - time.time() * 1000 <= links.SESSION_SECONDS * 1000
            for node in (one, other):
                assert ask(node, "POST", "/v1/console/sessions", {"secret": secret}) == (409, "LINK_USED")
                for path in ("/v1/console/nodes", "/v1/rooms"):
                    assert ask(node, "GET", path, bearer=session["token"])[0] == 200
        assert ask(one, "GET", "/v1/users/ada/wallet", bearer=session["token"]) == (403, "FORBIDDEN")
        assert ask(one, "POST", "/v1/console/links", bearer=session["token"]) == (403, "FORBIDDEN")
        stranger = run_flylive("console", "--url", one.url, FLYLIVE_SERVICE_KEY="another-key")
        assert stranger.returncode == 1
        assert "does not know this configuration's key" in stranger.stderr
        assert ask(one, "POST", "/v1/console/links") == (401, "AUTH_REQUIRED")
        assert ask(one, "POST", "/v1/console/sessions", {"secret": 7}) == (422, "PAYLOAD_INVALID")
        assert ask(one, "POST", "/v1/console/sessions", {"secret": "x" * 43}) == (410, "LINK_EXPIRED")
        told = one.log + one.output + other.log + other.output
        assert secret not in told
        assert session["token"] not in told


async def test_a_late_link_is_told_from_a_used_one(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "LINK_SECONDS", 3)
    kernel = build_kernel(redis_url, Settings(redis=Redis(url=redis_url)))
    await kernel.open()
    try:
        made = Links(kernel.server, Keys("console-test"))
        now = time.time_ns() // 1_000_000
        late, used = await made.make(KEY, now), await made.make(KEY, now)
        session = await made.redeem(used)
        assert ServiceKeys(Auth(service_key=KEY)).may(session.token, "console", now)
        with pytest.raises(Refused) as twice:
            await made.redeem(used)
        assert (twice.value.status, twice.value.code) == (409, "LINK_USED")
        async with asyncio.timeout(30):
            for secret in (late, used):
                while await kernel.server.execute("EXISTS", made._key(secret)):
                    await asyncio.sleep(0.05)
        for secret in (late, used, "guessed"):
            with pytest.raises(Refused) as refused:
                await made.redeem(secret)
            assert (refused.value.status, refused.value.code) == (410, "LINK_EXPIRED")
    finally:
        await kernel.close()


def test_the_command_says_what_is_missing() -> None:
    nobody = run_flylive("console", "--url", "http://127.0.0.1:9")
    assert nobody.returncode == 1
    assert "no node answers at http://127.0.0.1:9" in nobody.stderr
    assert nobody.stdout == ""
