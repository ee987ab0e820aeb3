"""Kernels as processes of their own, and what is said between them and a test."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINE_BYTES = 64 * 1024 * 1024


@asynccontextmanager
async def node_process(url: str, name: str, *users: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.state.node_process", url, name, *users,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_BYTES,
    )  # fmt: skip
    try:
        await hear(process, "ready")
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def hear(process: asyncio.subprocess.Process, word: str, seconds: float = 60.0) -> list[str]:
    """Read until the process says this; all it said."""
    assert process.stdout is not None
    said: list[str] = []
    async with asyncio.timeout(seconds):
        while not said or not said[-1].startswith(word):
            line = (await process.stdout.readline()).decode().strip()
            assert line, said
            said.append(line)
    return said


async def tell(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()
