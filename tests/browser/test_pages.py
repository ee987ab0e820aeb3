"""The console and the documentation in a browser: they show what is, without an error, from one origin."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.browser.pages import Page, opened_browser
from tests.browser.people import LISTENING, SERVICE_KEY, expect_clean, node_with_sound, prepare
from tests.processes import NodeProcess, run_flylive

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DESKTOP = {"width": 1280, "height": 900}
FIGURES = {"figure=connections": "1", "room-online=lounge": "1", "room-seated=lounge": "1"}
FLOWS = "/[1-9][0-9]* packets, 0 lost, jitter/"


async def only_this_origin(page: Page, node: NodeProcess) -> None:
    origins = {request.split("/")[2] for request in (await page.report())["requests"]}
    assert origins == {node.url.split("/")[2]}


async def no_inline_code(page: Page) -> None:
    """Markup that got into a page would still have nothing to run."""
    for tag, attribute in (("script", "textContent"), ("button", "onclick")):
        await page.evaluate(
            f"""{{ const made = document.createElement("{tag}");
            if ("{attribute}" === "onclick") made.setAttribute("onclick", "window.ran = true");
            else made.textContent = "window.ran = true";
            document.body.append(made); made.click(); made.remove(); }}"""
        )
    assert await page.evaluate("window.ran === undefined")


async def test_an_operator_comes_by_a_link_and_watches(data_directory: Path) -> None:
    with node_with_sound(data_directory) as node:
        links = await asyncio.to_thread(prepare, node)
        printed = await asyncio.to_thread(run_flylive, "console", "--url", node.url)
        link = printed.stdout.strip()
        async with opened_browser() as browser:
            bob = await browser.open("bob", links["bob"])
            await bob.appear(LISTENING)
            await bob.click("[data-testid=take-seat]")
            console = await browser.open("console", link, **DESKTOP)
            await console.appear(".node")
            assert await console.evaluate("location.href") == f"{node.url}/console"
            assert link.split("#")[1] not in str(await console.report())
            for figure, value in FIGURES.items():
                shown = f"document.querySelector('[data-{figure}]')?.textContent"
                await console.until(f"{shown} === '{value}'", 30)
            assert await console.count(".chart canvas") >= 10
            await console.click("tbody tr:has([data-room-online=lounge]) button")
            await see_one_room(console, bob)
            await expect_clean(console)
            await only_this_origin(console, node)
            await no_inline_code(console)

            late = await browser.open("late", link)
            await late.until("document.querySelector('[role=alert]')?.textContent.includes('used already')")
            await late.fill("input[type=password]", "guessed")
            await late.click("button.primary")
            await late.until("document.querySelector('[role=alert]')?.textContent.includes('scope')")


async def see_one_room(console: Page, bob: Page) -> None:
    """Seats, audio, a recording and events of the lounge; then Bob is put out."""
    await console.appear(".inspector .timeline li")
    await console.until("document.querySelector('.inspector').textContent.includes('onerror')")
    assert await console.count(".inspector img, .rooms b, .inspector script") == 0
    await console.until(f"{FLOWS}.test(document.querySelector('[data-transport=bob]')?.textContent)")
    await console.click("[data-testid=record]")
    await console.until("/Recording, [1-9]/.test(document.querySelector('.recorder').textContent)")
    await bob.fill(".chat-box input", "canary")
    await bob.press(".chat-box input", "Enter")
    await console.until("document.querySelector('.timeline').textContent.includes('chat:message')")
    await console.click("[data-testid=record]")
    trace = await console.download("[data-testid=recording]")
    assert '"e":"chat:send"' in trace
    assert trace.splitlines()[-1].startswith('{"k":"end"')
    assert "canary" not in trace
    await console.click(".inspector button.danger:has-text('Kick')")
    await bob.appear("[data-testid=ended]")


async def test_the_documentation_is_there_and_can_be_tried(data_directory: Path) -> None:
    with node_with_sound(data_directory) as node:
        await asyncio.to_thread(prepare, node)
        async with opened_browser() as browser:
            docs = await browser.open("docs", f"{node.url}/docs", **DESKTOP)
            await docs.appear("#permissions")
            for text in ("seat:take", "chat:message", "INSUFFICIENT_FUNDS", "/v1/rooms"):
                await docs.until(f"document.body.textContent.includes({text!r})")
            await docs.fill(".credential input", SERVICE_KEY)
            await docs.click("[id='get-/v1/rooms'] summary")
            await docs.click("[id='get-/v1/rooms'] .try button")
            await docs.until("document.querySelector('[data-testid=result]')?.textContent.startsWith('200')")
            await expect_clean(docs)
            await only_this_origin(docs, node)
            await no_inline_code(docs)
            await docs.resize(390, 844)
            width = "document.documentElement.scrollWidth"
            assert await docs.evaluate(width) <= 390
