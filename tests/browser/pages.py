"""Pages of a headless Chromium, driven from a test.

async with opened_browser() as browser:
    ann = await browser.open("ann", f"{node.url}/room/lounge#{token}")
    await ann.click("[data-testid=take-seat]")
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.children import Child, child
from tests.tools import chromium

SCRIPT = Path(__file__).with_name("drive.js")
SECONDS = 30.0


class Browser(Child):
    """The browser's process."""

    async def open(self, name: str, url: str, **how: Any) -> Page:
        """A page in a context of its own. `how`: width, height, language."""
        await self.ask("open", page=name, url=url, **how)
        return Page(self, name)


class Page:
    """One page; selectors wait until they are there."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self.name = name

    async def _ask(self, op: str, **fields: Any) -> Any:
        return await self._browser.ask(op, page=self.name, **fields)

    async def click(self, selector: str) -> None:
        await self._ask("click", selector=selector)

    async def fill(self, selector: str, text: str) -> None:
        await self._ask("fill", selector=selector, text=text)

    async def press(self, selector: str, key: str) -> None:
        await self._ask("press", selector=selector, key=key)

    async def select(self, selector: str, value: str) -> None:
        await self._ask("select", selector=selector, value=value)

    async def appear(self, selector: str, seconds: float = SECONDS) -> None:
        await self._ask("appear", selector=selector, seconds=seconds)

    async def vanish(self, selector: str, seconds: float = SECONDS) -> None:
        await self._ask("vanish", selector=selector, seconds=seconds)

    async def until(self, condition: str, seconds: float = SECONDS) -> None:
        """Waits until the JavaScript expression holds."""
        await self._ask("until", condition=condition, seconds=seconds)

    async def text(self, selector: str) -> str:
        found: str = await self._ask("text", selector=selector)
        return found

    async def count(self, selector: str) -> int:
        found: int = await self._ask("count", selector=selector)
        return found

    async def evaluate(self, code: str) -> Any:
        return await self._ask("evaluate", code=code)

    async def heard(self) -> dict[str, float]:
        """What arrived as sound so far: packets, energy, concealed samples."""
        figures: dict[str, float] = await self._ask("heard")
        return figures

    async def key(self, *keys: str) -> None:
        """Presses keys, wherever the focus is."""
        for key in keys:
            await self._ask("key", key=key)

    async def controls(self) -> list[dict[str, str]]:
        """Everything operable as the accessibility tree has it: role and name."""
        found: list[dict[str, str]] = await self._ask("controls")
        return found

    async def download(self, selector: str) -> str:
        """The text of the file that a click saves."""
        text: str = await self._ask("download", selector=selector)
        return text

    async def watch_frames(self) -> None:
        """From now on every frame and every long task is written down."""
        await self._ask("watchFrames")

    async def frames(self) -> dict[str, list[float]]:
        """What was written down: the lengths of frames and of long tasks in milliseconds."""
        lengths: dict[str, list[float]] = await self._ask("frames")
        return lengths

    async def offline(self, offline: bool) -> None:
        await self._ask("offline", offline=offline)

    async def resize(self, width: int, height: int) -> None:
        await self._ask("resize", width=width, height=height)

    async def screenshot(self, path: Path, *, full: bool = False) -> None:
        await self._ask("screenshot", path=str(path), full=full)

    async def report(self) -> dict[str, list[str]]:
        """Console errors, dialogs and the addresses the page asked for."""
        told: dict[str, list[str]] = await self._ask("report")
        return told

    async def close(self) -> None:
        await self._ask("close")


@contextlib.asynccontextmanager
async def opened_browser() -> AsyncIterator[Browser]:
    async with child(SCRIPT, Browser) as browser:
        await browser.ask("start", executable=str(chromium()))
        yield browser
