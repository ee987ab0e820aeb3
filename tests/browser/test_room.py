"""Three people in one room, each in a page of its own: what the room page offers, as the others see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.pages import Browser, Page, opened_browser
from tests.processes import NodeProcess, running_node

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

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
    with urllib.request.urlopen(request, timeout=10) as answer:
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
async def three_people(data: Path) -> AsyncIterator[tuple[NodeProcess, Browser, Page, Page, Page]]:
    with node_with_sound(data) as node:
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
    for _attempt in range(60):
        await asyncio.sleep(0.25)
        now = await page.heard()
        if now["packets"] > before["packets"] + 25 and now["energy"] > before["energy"]:
            return
    raise AssertionError(f"{page.name} hears nothing: {before} -> {now}")


async def test_people_meet_talk_and_give(data_directory: Path) -> None:
    async with three_people(data_directory) as (_node, _browser, olga, ann, bob):
        await ann.click("[data-testid=take-seat]")
        for page in (olga, ann, bob):
            await page.appear(seat_of("Ann"))
        await ann.appear("[data-testid=mic][aria-pressed=true]")
        await louder(bob)
        await bob.appear(".seat.speaking")

        await bob.fill(".chat-box input", f"hello {MARKUP}")
        await bob.press(".chat-box input", "Enter")
        for page in (olga, ann):
            await page.until(
                "[...document.querySelectorAll('.message p')].some((p) => p.textContent.includes('onerror'))"
            )
            assert await page.count(".chat img, .chat script") == 0

        await bob.click("[data-testid=gifts]")
        await bob.until("document.querySelector('[data-testid=coins]').textContent === '1000'")
        for _time in range(2):
            await bob.click("[data-testid=send-gift]")
        await bob.until("document.querySelector('[data-testid=coins]').textContent === '980'")
        for page in (olga, ann):
            await page.until("document.querySelector('[data-testid=combo-count]')?.textContent === '×2'")
        await expect_clean(olga, ann, bob)


async def test_moderation_is_felt_at_once(data_directory: Path) -> None:
    async with three_people(data_directory) as (_node, _browser, olga, ann, bob):
        await ann.click("[data-testid=take-seat]")
        await ann.appear("[data-testid=mic][aria-pressed=true]")
        await louder(bob)
        await olga.click(seat_of("Ann"))
        await olga.click("[data-command='mic:mute_user']")
        await ann.appear("[data-testid=mic][aria-pressed=false]")
        await bob.appear(f"{seat_of('Ann')[:-1]}][aria-label*='muted']")
        await asyncio.sleep(0.5)
        before = await bob.heard()
        await asyncio.sleep(1.0)
        assert (await bob.heard())["energy"] - before["energy"] < 1e-3

        await olga.click(seat_of("Ann"))
        await olga.click("[data-command='mod:kick']")
        await ann.appear("[data-testid=ended]")
        await bob.vanish(seat_of("Ann"))
        await expect_clean(olga, bob)


async def test_requests_are_answered_and_seats_locked(data_directory: Path) -> None:
    async with three_people(data_directory) as (_node, _browser, olga, ann, bob):
        await olga.click("button[aria-label='Room settings']")
        await olga.select(".settings select", "request")
        await olga.click(".settings .primary")
        await ann.click("[data-testid=request-seat]")
        await olga.click("[data-testid=requests]")
        await olga.click(".people .primary")
        await bob.appear(seat_of("Ann"))
        await olga.click(".sheet header button[aria-label=Close]")
        await olga.click(".seat:nth-child(3) button")
        await olga.click("[data-command='seat:lock']")
        await bob.appear(".seat.locked")
        await expect_clean(olga, ann, bob)


async def test_pages_come_back_after_the_server_did(data_directory: Path) -> None:
    with node_with_sound(data_directory) as node:
        port = node.url.rsplit(":", 1)[1]
        links = await asyncio.to_thread(prepare, node)
        async with opened_browser() as browser:
            ann = await browser.open("ann", links["ann"])
            await ann.appear(JOINED)
            await ann.click("[data-testid=take-seat]")
            await ann.appear(seat_of("Ann"))
            await asyncio.to_thread(node.stop)
            await ann.appear("[data-testid=reconnecting]")
            with node_with_sound(data_directory, "--port", port):
                await ann.appear(JOINED, 30)
                await ann.appear(seat_of("Ann"))
                await ann.appear(LISTENING, 30)
                await ann.fill(".chat-box input", "still here")
                await ann.press(".chat-box input", "Enter")
                await ann.until("document.querySelector('.chat').textContent.includes('still here')")


async def test_both_ways_of_sound_meet_in_one_room(data_directory: Path) -> None:
    async with three_people(data_directory) as (_node, _browser, olga, ann, bob):
        await bob.select(".mode", "offer")
        await bob.appear(LISTENING)
        for page in (ann, bob):
            await page.click("[data-testid=take-seat]")
            await page.appear("[data-testid=mic][aria-pressed=true]")
        for page in (olga, ann, bob):
            await louder(page)
        await expect_clean(olga, ann, bob)


async def test_the_page_reads_from_right_to_left(data_directory: Path) -> None:
    with node_with_sound(data_directory) as node:
        links = await asyncio.to_thread(prepare, node)
        async with opened_browser() as browser:
            page = await browser.open("ann", links["ann"], language="ar-EG")
            await page.appear(JOINED)
            assert await page.evaluate("document.documentElement.dir") == "rtl"
            assert "اجلس" in await page.text("[data-testid=take-seat]")
            origins = {request.split("/")[2] for request in (await page.report())["requests"]}
            assert origins == {node.url.split("/")[2]}
