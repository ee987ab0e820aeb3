"""The console while a load test runs: does it stay smooth, and do its numbers agree with /metrics?

python -m tests.browser.watched [--users FACTOR] [--time FACTOR]      (1,000 users for a minute by itself)
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from realtime.console.figures import SUMS
from tests.browser.pages import Page, opened_browser
from tests.browser.people import SERVICE_KEY
from tests.processes import NodeProcess, environment, flylive, run_flylive, running_node, wait_until

SCENARIO = Path(__file__).with_name("watched.toml")
USERS = 1000
HOLD_SECONDS = 60.0
RATES = ("deliveries", "commands", "gifts")
LOOK_SECONDS = 2.0
FRAME_MS = 1000 / 60
READ_FIGURES = """Object.fromEntries([...document.querySelectorAll("[data-figure]")]
    .map((one) => [one.dataset.figure, Number(one.textContent)]))"""


class Sight(msgspec.Struct, frozen=True):
    """What was seen during the hold."""

    users: int
    # connections as the console and as /metrics has them
    connections: tuple[int, int]
    # by figure, per second: the mean of what the console showed, and what /metrics counted
    rates: dict[str, tuple[float, float]]
    # milliseconds
    frames: list[float]
    long_tasks: list[float]

    def frame_ms(self, share: float) -> float:
        ordered = sorted(self.frames)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def counted(node: NodeProcess) -> dict[str, float]:
    samples = [
        sample for family in text_string_to_metric_families(node.get("/metrics")) for sample in family.samples
    ]
    return {
        figure: sum(sample.value for sample in samples if sample.name == name)
        for figure, name in SUMS.items()
    }


async def shown(console: Page) -> dict[str, float]:
    found: dict[str, float] = await console.evaluate(READ_FIGURES)
    return found


async def look(node: NodeProcess, console: Page, users: int, seconds: float) -> Sight:
    """From the moment all users are connected, with the busiest room looked into."""
    await asyncio.to_thread(wait_until, lambda: counted(node)["connections"] == users, "all connected")
    await console.until(f"document.querySelector('[data-figure=connections]').textContent === '{users}'", 30)
    busiest = "tbody tr:has([data-room-online]) button >> nth=0"
    await console.click(busiest)
    await console.appear(".inspector .timeline li")
    connections = (int((await shown(console))["connections"]), int(counted(node)["connections"]))
    await console.watch_frames()
    begun, before, looks = time.monotonic(), counted(node), []
    while time.monotonic() - begun < seconds:
        await asyncio.sleep(LOOK_SECONDS)
        looks.append(await shown(console))
    lengths = await console.frames()
    passed, after = time.monotonic() - begun, counted(node)
    rates = {
        figure: (
            sum(one[figure] for one in looks) / len(looks),
            (after[figure] - before[figure]) / passed,
        )
        for figure in RATES
    }
    return Sight(users, connections, rates, lengths["frames"], lengths["tasks"])


async def watch(data: Path, users_factor: float = 1.0, time_factor: float = 1.0) -> Sight:
    with running_node(data) as node:
        link = (await asyncio.to_thread(run_flylive, "console", "--url", node.url)).stdout.strip()
        factors = ("--users", users_factor, "--time", time_factor)
        words = ("scenario", SCENARIO, "--url", node.url, *factors, "--quiet")
        load = await asyncio.create_subprocess_exec(
            *flylive(*map(str, words)),
            env=environment(FLYLIVE_SERVICE_KEY=SERVICE_KEY),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            async with opened_browser() as browser:
                console = await browser.open("console", link, width=1280, height=800)
                users = round(USERS * users_factor)
                sight = await look(node, console, users, HOLD_SECONDS * time_factor * 0.7)
            assert await load.wait() == 0
        finally:
            if load.returncode is None:
                load.kill()
                await load.wait()
    return sight


def report(sight: Sight) -> str:
    late = sum(length > 2 * FRAME_MS for length in sight.frames) / len(sight.frames)
    lines = [
        "{} users; connections in the console {}, in /metrics {}".format(sight.users, *sight.connections),
        *(f"{name}/s: console {one:.1f}, /metrics {other:.1f}" for name, (one, other) in sight.rates.items()),
        f"{len(sight.frames)} frames: p50 {sight.frame_ms(0.5):.1f} ms, p95 {sight.frame_ms(0.95):.1f} ms, "
        f"p99 {sight.frame_ms(0.99):.1f} ms, longest {max(sight.frames):.0f} ms, over two frames {late:.2%}",
        f"{len(sight.long_tasks)} long tasks (over 50 ms), longest {max(sight.long_tasks, default=0):.0f} ms",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.watched", description=__doc__)
    parser.add_argument("--users", type=float, default=1.0, metavar="FACTOR")
    parser.add_argument("--time", type=float, default=1.0, metavar="FACTOR")
    options = parser.parse_args(arguments)
    data = Path(tempfile.mkdtemp(prefix="flylive-watched-"))
    data.chmod(0o711)
    try:
        sys.stdout.write(report(asyncio.run(watch(data / "data", options.users, options.time))) + "\n")
    finally:
        shutil.rmtree(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
