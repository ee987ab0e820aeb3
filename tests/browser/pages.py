"""Pages of a headless Chromium, driven from a test.

async with opened_browser() as browser:
    ann = await browser.open("ann", f"{node.url}/room/lounge#{token}")
    await ann.click("[data-testid=take-seat]")
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.tools import chromium, node, node_environment

SCRIPT = Path(__file__).with_name("drive.js")
STOP_SECONDS = 15.0
LINE_BYTES = 16 << 20


class Browser:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    async def ask(self, op: str, **fields: Any) -> Any:
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n")
        return await answer

    async def open(self, name: str, url: str, **how: Any) -> Page:
        """A page in a context of its own. `how`: width, height, language."""
        await self.ask("open", page=name, url=url, **how)
        return Page(self, name)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            answer = self._asked.pop(told["id"])
            if answer.done():
                continue
            if "error" in told:
                answer.set_exception(AssertionError(told["error"]))
            else:
                answer.set_result(told["result"])
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(AssertionError("the browser has ended"))

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader


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

    async def appear(self, selector: str, seconds: float = STOP_SECONDS) -> None:
        await self._ask("appear", selector=selector, seconds=seconds)

    async def vanish(self, selector: str, seconds: float = STOP_SECONDS) -> None:
        await self._ask("vanish", selector=selector, seconds=seconds)

    async def until(self, condition: str, seconds: float = STOP_SECONDS) -> None:
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
    executable = chromium()
    process = await asyncio.create_subprocess_exec(
        str(node()),
        str(SCRIPT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=dict(node_environment()),
        limit=LINE_BYTES,
    )
    browser = Browser(process)
    try:
        await browser.ask("start", executable=str(executable))
        yield browser
    finally:
        await browser.close()
