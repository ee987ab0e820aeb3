"""By keyboard and with a screen reader: every control has a name and is reached, dialogs keep the focus, what
happens in the room is read out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.browser.pages import Page, opened_browser
from tests.browser.people import JOINED, node_with_sound, prepare, seat_of
from tests.processes import run_flylive

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SHEETS = {
    "a seat": seat_of("Ann"),
    "gifts": "[data-testid=gifts]",
    "people": ".top nav button:nth-last-child(4)",
    "settings": ".top nav button:nth-last-child(3)",
    "share": ".top nav button:nth-last-child(2)",
}
OPERABLE = "button, input, select, textarea, a[href], summary, [tabindex='0']"
REACHABLE = f"""[...document.querySelectorAll("{OPERABLE}")]
    .filter((one) => !one.disabled && one.checkVisibility())"""
ANNOUNCED = "document.querySelector('[data-testid=announced]').textContent"
HERE = "document.activeElement"
IN_SHEET = f"Boolean({HERE}.closest('.sheet'))"
VISIBLE = f"getComputedStyle({HERE}).outlineStyle !== 'none'"


async def expect_names(page: Page, where: str) -> None:
    controls = await page.controls()
    assert controls, where
    # A picture alone is no name.
    assert [one for one in controls if not any(map(str.isalnum, one["name"]))] == [], where


async def walk(page: Page, where: str) -> None:
    """Tab reaches every control and shows where one is."""
    count = await page.evaluate(f"{REACHABLE}.length")
    for _step in range(count + 5):
        await page.key("Tab")
        shown = await page.evaluate(f"{HERE}.dataset.reached = 'yes', {HERE} === document.body || {VISIBLE}")
        assert shown, (where, await page.evaluate(f"{HERE}.outerHTML.slice(0, 200)"))
    left = f"{REACHABLE}.filter((one) => !one.dataset.reached).map((one) => one.outerHTML.slice(0, 200))"
    assert await page.evaluate(left) == [], where


async def visit_sheet(page: Page, opener: str, where: str) -> None:
    """Opened from the keyboard it has the focus, keeps it, and gives it back."""
    await page.press(opener, "Enter")
    await page.until(IN_SHEET)
    await expect_names(page, where)
    for keys in (("Tab",), ("Shift+Tab",)):
        for _step in range(1 + await page.count(".sheet button, .sheet input, .sheet select")):
            await page.key(*keys)
            assert await page.evaluate(IN_SHEET), where
    await page.key("Escape")
    await page.vanish(".sheet")
    await page.until(f"{HERE} === document.querySelector({opener!r})")


async def test_the_room_is_usable_without_eyes_and_mouse(data_directory: Path) -> None:
    with node_with_sound(data_directory) as node:
        links = await asyncio.to_thread(prepare, node)
        async with opened_browser() as browser:
            olga, ann = [await browser.open(user, links[user]) for user in ("olga", "ann")]
            for page in (olga, ann):
                await page.appear(JOINED)
            await ann.press("[data-testid=take-seat]", "Enter")
            await olga.until(f"{ANNOUNCED}.includes('Ann')")
            assert await olga.count("[data-testid=announced][role=status]") == 1
            await ann.fill(".chat-box input", "hello")
            await ann.key("Enter")
            await olga.until("document.querySelector('[role=log]').textContent.includes('hello')")
            await expect_names(olga, "room")
            await walk(olga, "room")
            for where, opener in SHEETS.items():
                await visit_sheet(olga, opener, where)
            await olga.press(seat_of("Ann"), "Enter")
            await olga.press("[data-command='seat:kick']", "Enter")
            await olga.until(f"{ANNOUNCED}.includes('Empty')")
            door = await browser.open("door", links["ann"].split("#")[0], language="ar-EG")
            await door.appear(".door")
            await expect_names(door, "door")
            await walk(door, "door")


async def test_the_console_and_the_docs_are_too(data_directory: Path) -> None:
    with node_with_sound(data_directory) as node:
        links = await asyncio.to_thread(prepare, node)
        async with opened_browser() as browser:
            ann = await browser.open("ann", links["ann"])
            await ann.click("[data-testid=take-seat]")
            await ann.appear(seat_of("Ann"))
            door = await browser.open("door", f"{node.url}/console")
            await door.appear(".door")
            await expect_names(door, "door of the console")
            printed = await asyncio.to_thread(run_flylive, "console", "--url", node.url)
            console = await browser.open("console", printed.stdout.strip(), width=1280)
            await console.press("tbody tr:has([data-room-online=lounge]) button", "Enter")
            await console.appear(".inspector [aria-label='Kick Ann']")
            await expect_names(console, "console")
            await walk(console, "console")
            docs = await browser.open("docs", f"{node.url}/docs")
            await docs.appear("#permissions")
            await walk(docs, "docs")
            await docs.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            await expect_names(docs, "docs")
