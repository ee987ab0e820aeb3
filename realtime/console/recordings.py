"""A room's traffic, recorded while an operator watches and handed over line by line.

What records is `flylive record` in a process of its own, with the operator's bearer: it strikes out secrets,
replaces ids and texts, and costs the node no more than any listener of the tap. Its output passes through a
WebSocket to the page, which keeps it for a download; so nothing is stored here, a recording ends with the
page that asked for it, and a page that does not keep up slows down the recorder, never the node.

The page says first who it is and which room it wants, and later, with any message, that it is enough. Then
the end of the recording follows, and a normal close. Another close code says what went wrong.

Like every tap it hears what passes through this node.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
from aiohttp import WSCloseCode, web

from realtime.console.answers import Allowed
from state.ids import Identifier

RECORDINGS_MAX: Final = 4
SECONDS_MAX: Final = 600
BYTES_MAX: Final = 50_000_000
OPENING_SECONDS: Final = 5.0
ENDING_SECONDS: Final = 15.0
CHUNK_BYTES: Final = 64 * 1024
REASON_BYTES_MAX: Final = 120
NOT_ALLOWED: Final = 4401
TOO_MANY: Final = 4429
FAILED: Final = 4500


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page's first message."""

    bearer: str
    room_id: Identifier


def recording_route(own_url: str, is_allowed: Allowed) -> web.RouteDef:
    running: set[web.WebSocketResponse] = set()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=20, compress=False, max_msg_size=4096)
        await socket.prepare(request)
        try:
            opening = msgspec.json.decode(await socket.receive_str(timeout=OPENING_SECONDS), type=Opening)
        except (TimeoutError, TypeError, msgspec.DecodeError):
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"who, and which room?")
            return socket
        if not is_allowed(opening.bearer):
            await socket.close(code=NOT_ALLOWED, message=b"a key or a link with the scope `tap` is needed")
        elif len(running) >= RECORDINGS_MAX:
            await socket.close(code=TOO_MANY, message=b"too many recordings run on this node")
        else:
            running.add(socket)
            try:
                await _record(socket, own_url, opening)
            finally:
                running.discard(socket)
        return socket

    return web.get("/v1/console/recording", serve)


async def _record(socket: web.WebSocketResponse, own_url: str, opening: Opening) -> None:
    async with _recorder(own_url, opening) as process:
        handing = asyncio.create_task(_hand_over(process, socket))
        asking = asyncio.create_task(socket.receive())
        try:
            await asyncio.wait({handing, asking}, return_when=asyncio.FIRST_COMPLETED)
            if socket.closed:
                return
            _end(process)
            problem = await asyncio.wait_for(handing, ENDING_SECONDS)
        except ConnectionError:
            # The page is gone.
            return
        except TimeoutError:
            problem = b"the recorder does not end"
        finally:
            asking.cancel()
            handing.cancel()
            await asyncio.gather(asking, handing, return_exceptions=True)
    await socket.close(code=FAILED if problem else WSCloseCode.OK, message=problem)


@asynccontextmanager
async def _recorder(own_url: str, opening: Opening) -> AsyncIterator[asyncio.subprocess.Process]:
    """Its key stands in its environment: command lines are everybody's to read."""
    words = ["record", "-", "--room", opening.room_id, "--url", own_url, "--seconds", str(SECONDS_MAX)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-u", "-m", "realtime.cli", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"FLYLIVE_SERVICE_KEY": opening.bearer},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _end(process: asyncio.subprocess.Process) -> None:
    """In order: it still writes how the room is."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)


async def _hand_over(process: asyncio.subprocess.Process, socket: web.WebSocketResponse) -> bytes:
    """All the recorder writes; returns why it failed, if it did."""
    assert process.stdout is not None
    assert process.stderr is not None
    handed = 0
    while chunk := await process.stdout.read(CHUNK_BYTES):
        await socket.send_bytes(chunk)
        if handed < BYTES_MAX <= handed + len(chunk):
            _end(process)
        handed += len(chunk)
    told = (await process.stderr.read()).strip().splitlines()
    failed = await process.wait() != 0
    return (told[-1] if told else b"the recorder ended")[:REASON_BYTES_MAX] if failed else b""
