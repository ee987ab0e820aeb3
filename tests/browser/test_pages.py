"""The console and the documentation in a browser: they show what is, without an error, from one origin."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.browser.pages import Page, opened_browser
from tests.browser.test_room import JOINED, SERVICE_KEY, expect_clean, node_with_sound, prepare
from tests.processes import NodeProcess, running_node

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DESKTOP = {"width": 1280, "height": 900}


async def only_this_origin(page: Page, node: NodeProcess) -> None:
    origins = {request.split("/")[2] for request in (await page.report())["requests"]}
    assert origins == {node.url.split("/")[2]}


async def test_the_console_shows_nodes_rooms_and_one_room(data_directory: Path) -> None:
    with node_with_sound(data_directory) as node:
        links = await asyncio.to_thread(prepare, node)
        async with opened_browser() as browser:
            ann = await browser.open("ann", links["ann"])
            await ann.appear(JOINED)
            await ann.click("[data-testid=take-seat]")
            console = await browser.open("console", f"{node.url}/console", **DESKTOP)
            await console.fill("input[type=password]", SERVICE_KEY)
            await console.click("button.primary")
            await console.appear(".node")
            await console.until(
                "document.querySelector('[data-figure=connections]')?.textContent === '1.00'", 30
            )
            await console.until(
                "document.querySelector('[data-room-online=lounge]')?.textContent === '1'", 30
            )
            assert await console.count(".chart canvas") >= 10
            await console.click("tbody tr:has([data-room-online=lounge]) button")
            await console.appear(".inspector .timeline li")
            await console.click(".inspector button.danger:has-text('Kick')")
            await ann.appear("[data-testid=ended]")
            await expect_clean(console)
            await only_this_origin(console, node)


async def test_a_wrong_key_is_told_so(data_directory: Path) -> None:
    with running_node(data_directory) as node:
        async with opened_browser() as browser:
            console = await browser.open("console", f"{node.url}/console")
            await console.fill("input[type=password]", "guessed")
            await console.click("button.primary")
            await console.appear("[role=alert]")


async def test_the_documentation_is_there_and_can_be_tried(data_directory: Path) -> None:
    with running_node(data_directory) as node:
        async with opened_browser() as browser:
            docs = await browser.open("docs", f"{node.url}/docs", **DESKTOP)
            await docs.appear("#permissions")
            for text in ("seat:take", "chat:message", "INSUFFICIENT_FUNDS", "/v1/rooms"):
                assert await docs.evaluate(f"document.body.textContent.includes({text!r})"), text
            await docs.fill(".credential input", SERVICE_KEY)
            await docs.click("[id='get-/v1/rooms'] summary")
            await docs.click("[id='get-/v1/rooms'] .try button")
            await docs.until("document.querySelector('[data-testid=result]')?.textContent.startsWith('200')")
            await expect_clean(docs)
            await only_this_origin(docs, node)
            await docs.resize(390, 844)
            width = "document.documentElement.scrollWidth"
            assert await docs.evaluate(width) <= 390
