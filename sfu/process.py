"""The process of a media worker: started by a node (`python -m sfu`, its launch on standard input) or alone
(`flylive sfu`).

The settings come over a pipe, because they hold the URL of Redis with its password. A worker ignores
Ctrl-C: its node decides when it ends.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from collections.abc import Callable, Sequence

import msgspec
import structlog

from sfu.launch import READY_LINE, Launch, worker_count, worker_name
from sfu.switchboard import Place
from sfu.worker import Identity, Worker
from state import collector
from state.kernel import Outpost, build_outpost
from state.settings import Settings

log = structlog.get_logger("sfu.process")
PORT_STEPS = 16
"""Where the configured port is taken (another node of this machine, or a worker that outlived its node), the
next ones are tried, in steps of the number of workers."""
YOUNG_OBJECTS = 5_000
"""Looked at for garbage in about a millisecond: in the Python engine packets wait for it."""


def place_of(launch: Launch, step: int) -> Place:
    sfu = launch.settings.sfu
    announced = tuple(part.strip() for part in sfu.address.split(",") if part.strip())
    port = sfu.port and sfu.port + launch.number + step * max(1, worker_count(launch.settings))
    return Place(sfu.host or launch.host, port, announced, sfu.engine, sfu.tcp)


def open_worker(launch: Launch, ports: Outpost) -> Worker:
    """On the first free port."""
    identity = Identity(launch.worker, launch.node, launch.parent)
    for step in range(PORT_STEPS):
        place = place_of(launch, step)
        try:
            return Worker(identity, place, ports)
        except OSError as error:
            if step == PORT_STEPS - 1:
                raise
            log.warning("the port for audio is taken", port=place.port, reason=str(error))
    raise AssertionError("unreachable: the last step returns or raises")


async def run(launch: Launch, ready: Callable[[], None]) -> None:
    """Until SIGTERM, or until nobody needs the worker."""
    ports = build_outpost(launch.settings.redis.url, launch.settings, node=launch.worker)
    await ports.open()
    worker = open_worker(launch, ports)
    for number in (signal.SIGTERM, *(() if launch.parent else (signal.SIGINT,))):
        asyncio.get_running_loop().add_signal_handler(number, worker.finished.set)
    try:
        await worker.start()
        collector.settle(YOUNG_OBJECTS)
        ready()
        await worker.finished.wait()
    finally:
        await worker.stop()
        await ports.close()


def configure_logs(settings: Settings) -> None:
    """To standard error, as the node does: standard output is the pipe to it."""
    is_text = settings.log.format == "text" or (settings.log.format == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if is_text else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log.level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _run(launch: Launch, ready: Callable[[], None]) -> int:
    import uvloop

    configure_logs(launch.settings)
    uvloop.run(run(launch, ready))
    return 0


def child() -> int:
    """`python -m sfu`: the launch stands on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    text = sys.stdin.buffer.read()
    if not text:  # a spare whose node is gone
        return 0
    launch = msgspec.json.decode(text, type=Launch)

    def ready() -> None:
        sys.stdout.buffer.write(READY_LINE)
        sys.stdout.buffer.flush()

    return _run(launch, ready)


def main(settings: Settings | None, _words: Sequence[str] = ()) -> int:
    """`flylive sfu`: a worker alone, on a machine without a node. No settings: `--help` was asked for."""
    if settings is None:
        sys.stdout.write(f"usage: flylive sfu [SETTINGS]\n\n{main.__doc__}\n")
        return 0
    node = f"media-{secrets.token_hex(4)}"
    launch = Launch(settings, worker_name(node, 0), node, 0, None, settings.node.host)
    return _run(launch, lambda: log.info("press Ctrl-C to end"))
