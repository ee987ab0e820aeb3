"""Olga, who owns the lounge, and its members Ann and Bob, each in a page of their own on a real node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.browser.pages import Browser, Page, opened_browser
from tests.processes import NodeProcess, running_node

SERVICE_KEY = "development-service-key"
MARKUP = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
JOINED = "main[data-status=joined]"
LISTENING = "main[data-sound=listening]"


def node_with_sound(data: Path, *flags: str) -> contextlib.AbstractContextManager[NodeProcess]:
    return running_node(data, *flags, FLYLIVE_SFU_WORKERS="1")


def rest(node: NodeProcess, method: str, path: str, body: object = None, **headers: str) -> Any:
    """A backend's call; its data."""
    request = urllib.request.Request(
        node.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {SERVICE_KEY}", "Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())["data"]


def prepare(node: NodeProcess) -> dict[str, str]:
    """A room with a gift, an owner and two members who have coins; the page address of each."""
    rest(node, "POST", "/v1/rooms", {"room_id": "lounge", "name": "Lounge <b>x</b>", "owner_id": "olga"})
    gift = {"name": "Rose", "price": 10, "combo": True, "combo_window_ms": 20_000, "is_active": True}
    rest(node, "PUT", "/v1/gifts/rose", gift)
    links = {}
    for user, name in (("olga", "Olga"), ("ann", "Ann"), ("bob", MARKUP)):
        credit = {"amount": 1000, "currency": "coins", "reason": "test", "reference": f"start-{user}"}
        rest(node, "POST", f"/v1/users/{user}/credits", credit, **{"Idempotency-Key": f"start-{user}"})
        role = "owner" if user == "olga" else "member"
        made = rest(node, "POST", "/v1/rooms/lounge/tokens", {"user_id": user, "role": role, "name": name})
        links[user] = f"{node.url}/room/lounge#{made['token']}"
    return links


@contextlib.asynccontextmanager
async def three_people(
    data: Path, *flags: str
) -> AsyncIterator[tuple[NodeProcess, Browser, Page, Page, Page]]:
    with node_with_sound(data, *flags) as node:
        links = await asyncio.to_thread(prepare, node)
        async with opened_browser() as browser:
            people = [await browser.open(user, link) for user, link in links.items()]
            for page in people:
                await page.appear(JOINED)
                await page.appear(LISTENING)
            olga, ann, bob = people
            yield node, browser, olga, ann, bob


def seat_of(name: str) -> str:
    return f".seat.taken button[aria-label*='{name}']"


async def expect_clean(*pages: Page) -> None:
    for page in pages:
        told = await page.report()
        assert told["errors"] == [], page.name
        assert told["dialogs"] == [], page.name


async def louder(page: Page) -> None:
    """Waits until more sound has arrived, as packets and as energy."""
    before = await page.heard()
    for _attempt in range(120):
        await asyncio.sleep(0.25)
        now = await page.heard()
        if now["packets"] > before["packets"] + 25 and now["energy"] > before["energy"]:
            return
    raise AssertionError(f"{page.name} hears nothing: {before} -> {now}")


async def silent(page: Page) -> None:
    """Waits for a second without sound: on a busy machine what was on its way plays a little longer."""
    for _attempt in range(8):
        before = await page.heard()
        await asyncio.sleep(1.0)
        now = await page.heard()
        if now["energy"] - before["energy"] < 1e-3:
            return
    raise AssertionError(f"{page.name} still hears something: {before} -> {now}")
