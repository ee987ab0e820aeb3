"""Three people in one room, each in a page of its own: what the room page offers, as the others see it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from loadtests.benchmarks.processes import free_port
from tests.browser.pages import Page, opened_browser
from tests.browser.people import (
    JOINED,
    LISTENING,
    MARKUP,
    expect_clean,
    louder,
    node_with_sound,
    prepare,
    seat_of,
    silent,
    three_people,
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


async def take_seat(page: Page, name: str, *others: Page) -> None:
    await page.click("[data-testid=take-seat]")
    for each in (page, *others):
        await each.appear(seat_of(name))
    await page.appear("[data-testid=mic][aria-pressed=true]")


async def say(page: Page, text: str, *readers: Page) -> None:
    """A text is read by all as it was written, whatever it looks like."""
    await page.fill(".chat-box input", text)
    await page.press(".chat-box input", "Enter")
    said = f"[...document.querySelectorAll('.message p')].some((p) => p.textContent === {json.dumps(text)})"
    for reader in (page, *readers):
        await reader.until(said)
        assert await reader.count(".chat img, .chat script") == 0


async def give_twice(giver: Page, *others: Page) -> None:
    await giver.click("[data-testid=gifts]")
    await giver.until("document.querySelector('[data-testid=coins]').textContent === '1000'")
    for _time in range(2):
        await giver.click("[data-testid=send-gift]")
    await giver.until("document.querySelector('[data-testid=coins]').textContent === '980'")
    await giver.key("Escape")
    for page in (giver, *others):
        await page.until("document.querySelector('[data-testid=combo-count]')?.textContent === '×2'")


async def mute(moderator: Page, name: str, muted: Page, listener: Page) -> None:
    """Felt at once: the button of the muted, the badge for all, silence for the listeners."""
    await moderator.click(seat_of(name))
    await moderator.click("[data-command='mic:mute_user']")
    await muted.appear("[data-testid=mic][aria-pressed=false]")
    await listener.appear(f"{seat_of(name)[:-1]}][aria-label*='muted']")
    await silent(listener)


async def kick(moderator: Page, name: str, kicked: Page, witness: Page) -> None:
    await moderator.click(seat_of(name))
    await moderator.click("[data-command='mod:kick']")
    await kicked.appear("[data-testid=ended]")
    await witness.vanish(seat_of(name))


async def test_an_evening_in_three_pages(data_directory: Path) -> None:
    port = str(free_port())
    async with three_people(data_directory, "--port", port) as (node, _browser, olga, ann, bob):
        await take_seat(ann, "Ann", olga, bob)
        await louder(bob)
        await bob.appear(".seat.speaking")
        await say(bob, f"hello {MARKUP}", olga, ann)
        await give_twice(bob, olga, ann)
        await mute(olga, "Ann", ann, bob)
        await kick(olga, "Ann", ann, bob)
        await take_seat(bob, "onerror", olga)
        await louder(olga)
        await expect_clean(olga, ann, bob)

        await asyncio.to_thread(node.stop)
        for page in (olga, bob):
            await page.appear("[data-testid=reconnecting]")
        with node_with_sound(data_directory, "--port", port):
            for page in (olga, bob):
                await page.appear(JOINED, 30)
                await page.appear(seat_of("onerror"))
                await page.appear(LISTENING, 30)
            await louder(olga)
            await say(bob, "still here", olga)


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
