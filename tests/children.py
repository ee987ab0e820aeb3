"""A Node script under the command of a test: one line of JSON asks, one answers, in any order.

async with child(SCRIPT, Clients) as clients:
    await clients.ask("open", name="ann")

The script's side is tests/lines.js.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

from tests.tools import node, node_environment

STOP_SECONDS = 15.0
LINE_BYTES = 64 << 20


class Child:
    """The process, and what it was asked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    async def ask(self, op: str, **fields: Any) -> Any:
        """The result; what the child says against it fails the test."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n")
        return await answer

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
                answer.set_exception(AssertionError("the child has ended"))

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader


Kind = TypeVar("Kind", bound=Child)


@contextlib.asynccontextmanager
async def child(script: Path, kind: type[Kind]) -> AsyncIterator[Kind]:
    process = await asyncio.create_subprocess_exec(
        str(node()),
        str(script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=dict(node_environment()),
        limit=LINE_BYTES,
    )
    opened = kind(process)
    try:
        yield opened
    finally:
        await opened.close()
