"""Pictures of every page at the sizes of a phone and of a desktop, for people to look at.

python -m tests.browser.screenshots DIRECTORY
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.browser.pages import Browser, Page, opened_browser
from tests.browser.people import JOINED, LISTENING, node_with_sound, prepare, rest
from tests.processes import NodeProcess, run_flylive

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
TEXTS = ("Good evening!", "مساء الخير يا أصدقاء", "How is everybody? It is a long day that ends here.", "😀")
GIFTS = {"heart": 50, "crown": 500, "rocket": 5000}


class Photographer:
    """Takes a page in every size."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def take(self, page: Page, name: str, *, full: bool = False) -> None:
        for size, (width, height) in SIZES.items():
            await page.resize(width, height)
            await page.evaluate("new Promise((resolve) => setTimeout(resolve, 400))")
            await page.screenshot(self._directory / f"{name}-{size}.png", full=full)


async def fill(node: NodeProcess, pages: dict[str, Page]) -> None:
    """Seats, talk, and a gift that is being repeated."""
    for gift, price in GIFTS.items():
        fields = {"name": gift.title(), "price": price, "is_active": True, "combo": True}
        rest(node, "PUT", f"/v1/gifts/{gift}", {**fields, "combo_window_ms": 20_000})
    for page in pages.values():
        await page.click("[data-testid=take-seat]")
        await page.appear("[data-testid=mic][aria-pressed=true]")
    for number, text in enumerate(TEXTS):
        page = list(pages.values())[number % len(pages)]
        await page.fill(".chat-box input", text)
        await page.press(".chat-box input", "Enter")
    bob = pages["bob"]
    await bob.click("[data-testid=mic]")
    await bob.click("[data-testid=gifts]")


async def rooms(browser: Browser, links: dict[str, str], bob: Page, take: Photographer) -> None:
    """The room in both languages, with its sheets."""
    for language, tag in (("en-US", "en"), ("ar-EG", "ar")):
        olga = await browser.open(f"olga-{tag}", links["olga"], language=language)
        await olga.appear(JOINED)
        await olga.appear(".message")
        for _time in range(3):
            await bob.click("[data-testid=send-gift]")
        await olga.appear("[data-testid=combo]")
        await take.take(olga, f"room-{tag}")
        sheets = {
            "menu": ".seat.taken:nth-child(2) button",
            "gifts": "[data-testid=gifts]",
            "people": ".top nav button:nth-last-child(4)",
            "settings": ".top nav button:nth-last-child(3)",
            "share": ".top nav button:nth-last-child(2)",
        }
        for name, selector in sheets.items():
            await olga.click(selector)
            await olga.appear(".sheet")
            await take.take(olga, f"room-{tag}-{name}")
            await olga.key("Escape")
        door = await browser.open(f"door-{tag}", links["olga"].split("#")[0], language=language)
        await door.appear(".door")
        await take.take(door, f"room-{tag}-door")
        await olga.close()


async def consoles(browser: Browser, node: NodeProcess, take: Photographer) -> None:
    door = await browser.open("console-door", f"{node.url}/console")
    await door.appear(".door")
    await take.take(door, "console-door")
    link = run_flylive("console", "--url", node.url).stdout.strip()
    console = await browser.open("console", link, width=1280, height=800)
    await console.appear("[data-room-online=lounge]")
    await console.evaluate("new Promise((resolve) => setTimeout(resolve, 9000))")
    await take.take(console, "console", full=True)
    await console.click("tbody tr:has([data-room-online=lounge]) button")
    await console.appear("[data-transport]")
    await console.evaluate("new Promise((resolve) => setTimeout(resolve, 4000))")
    await take.take(console, "console-room", full=True)


async def documents(browser: Browser, node: NodeProcess, take: Photographer) -> None:
    docs = await browser.open("docs", f"{node.url}/docs")
    await docs.appear("#permissions")
    await take.take(docs, "docs")
    await docs.click("[id='get-/v1/rooms'] summary")
    await docs.evaluate("document.getElementById('get-/v1/rooms').scrollIntoView()")
    await take.take(docs, "docs-operation")
    await docs.evaluate("document.getElementById('errors').scrollIntoView()")
    await take.take(docs, "docs-errors")


async def photograph(directory: Path, data: Path) -> None:
    take = Photographer(directory)
    with node_with_sound(data) as node:
        links = await asyncio.to_thread(prepare, node)
        async with opened_browser() as browser:
            people = {user: await browser.open(user, links[user]) for user in ("ann", "bob")}
            for page in people.values():
                await page.appear(LISTENING)
            await fill(node, people)
            await rooms(browser, links, people["bob"], take)
            await consoles(browser, node, take)
            await documents(browser, node, take)


def main() -> int:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="flylive-pictures-"))
    data.chmod(0o711)
    try:
        asyncio.run(photograph(directory, data / "data"))
    finally:
        shutil.rmtree(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
