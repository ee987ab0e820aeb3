"""A node's media workers: started as child processes, watched, started again.

Children live in sessions of their own, so that neither Ctrl-C nor the death of the node reaches them: a
worker that lost its node lets its clients go on talking and leaves by itself (`sfu.worker`). A worker
that died is taken off the list at once; its clients come back to another.

One spare process is kept beside them, with everything imported and waiting for its launch: a dead worker is
replaced in a moment, also on a machine that is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time

import msgspec
import structlog

from sfu.launch import READY_LINE, Launch, worker_count, worker_name
from sfu.metrics import MediaMetrics
from sfu.placement import Registry
from sfu.signalling import RtcService
from state.rejections import Unavailable
from state.settings import Settings

log = structlog.get_logger("sfu.supervisor")
RESTART_FIRST_SECONDS = 0.1
RESTART_LAST_SECONDS = 5.0
STEADY_SECONDS = 30.0
"""A worker that lived so long starts again without delay."""
STOP_SECONDS = 5.0
SPARE_SECONDS = 3.0
READY_SECONDS = 60.0
"""Building the native engine is done once per machine, before the first worker is ready."""


class Supervisor:
    """A part of the node: its workers, and the service that talks to all workers."""

    name = "media"

    def __init__(
        self,
        settings: Settings,
        node_id: str,
        host: str,
        registry: Registry,
        service: RtcService,
        metrics: MediaMetrics,
    ) -> None:
        self._settings, self._node_id, self._host = settings, node_id, host
        self._registry, self.service, self._metrics = registry, service, metrics
        service.watchers.append(metrics.update)
        self.children: dict[int, asyncio.subprocess.Process] = {}
        """By number; a number without a process is between two."""
        self._spare: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        self._metrics.start()
        await self.service.start()
        for number in range(worker_count(self._settings)):
            self._tasks.append(asyncio.create_task(self._keep(number)))
        if worker_count(self._settings):
            self._tasks.append(asyncio.create_task(self._keep_spare()))

    async def check(self) -> str | None:
        """A node without workers of its own is ready without any: they may be on other machines."""
        return await self.service.check() if worker_count(self._settings) else None

    async def drain(self, seconds: float) -> None:
        """Clients leave with the gateway; the workers stay until the end."""

    async def stop(self) -> None:
        self._stopping = True
        await self.service.stop()
        self._metrics.stop()
        processes = [*self.children.values(), *([self._spare] if self._spare else [])]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        waiting = [asyncio.create_task(process.wait()) for process in processes]
        if waiting:
            await asyncio.wait(waiting, timeout=STOP_SECONDS)
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for task in (*waiting, *self._tasks):
            task.cancel()

    async def _keep(self, number: int) -> None:
        delay = RESTART_FIRST_SECONDS
        while not self._stopping:
            started = time.monotonic()
            name = worker_name(self._node_id, number)
            try:
                code = await self._run(number, name)
            except OSError as error:
                log.error("a media worker cannot be started", reason=str(error))
                code = -1
            self.children.pop(number, None)
            if self._stopping:
                return
            lived = time.monotonic() - started
            log.warning("a media worker ended", worker=name, code=code, seconds=round(lived, 1))
            try:
                await self._registry.withdraw(name)
            except Unavailable as failure:
                log.warning("a dead media worker is still listed", worker=name, reason=str(failure))
            delay = RESTART_FIRST_SECONDS if lived > STEADY_SECONDS else delay
            await asyncio.sleep(delay)
            delay = min(2 * delay, RESTART_LAST_SECONDS)

    async def _run(self, number: int, name: str) -> int:
        process, self._spare = self._spare, None
        if process is None or process.returncode is not None:
            process = await _spawn()
        self.children[number] = process
        assert process.stdin is not None
        assert process.stdout is not None
        launch = Launch(self._settings, name, self._node_id, number, os.getpid(), self._host)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(msgspec.json.encode(launch))
            await process.stdin.drain()
            process.stdin.close()
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await process.stdout.readline()
            if line == READY_LINE:
                log.info("media worker started", worker=name, pid=process.pid)
        except TimeoutError:
            log.error("a media worker did not become ready", worker=name)
            process.kill()
        return await process.wait()

    async def _keep_spare(self) -> None:
        """Looked at now and then: a node that starts, or replaces a worker, has better things to do."""
        while not self._stopping:
            await asyncio.sleep(SPARE_SECONDS)
            if self._spare is None or self._spare.returncode is not None:
                self._spare = await _spawn()


async def _spawn() -> asyncio.subprocess.Process:
    """A process that waits for its launch."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sfu",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
