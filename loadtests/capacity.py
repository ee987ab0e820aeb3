"""`flylive capacity`: measured unit costs of a machine -> nodes, cores, memory, and load of Valkey, Postgres
and the media workers for a platform of a given size.

The model is a sum of products, on purpose: every line says which unit it multiplies and where that unit was
measured. It knows no queueing: `--utilisation` is the share of a core one is willing to use, and the
benchmarks' latencies say what that share does to the 99th percentile.

    units come from    flylive bench units audio --json units.json

and from nowhere else: without that file they are measured before the answer is given.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadtests.benchmarks.figures import Figure
from loadtests.benchmarks.machine import Machine, sentence
from loadtests.benchmarks.units import METHODS
from loadtests.exits import DONE, FAILED, MISUSED

PACKETS_PER_SECOND = 50
PACKET_BITS = (160 + 12 + 8 + 16 + 28) * 8
EVENT_BITS = 300 * 8
# The audio benchmark's figures, best first: packets per CPU second of a media worker.
AUDIO_FIGURES = ("native_600", "native_300", "python_150")
AUDIO_METHOD = "packets per CPU second of a media worker, eight speakers to so many listeners, SRTP on"
PARTS = ("node", "valkey", "postgres")


class Platform(msgspec.Struct, frozen=True):
    """What is asked: how many people, doing what."""

    users: int
    room_size: int
    chat_rate: float
    gift_rate: float
    seat_rate: float
    stay_minutes: float
    speakers: float
    audio_share: float
    utilisation: float
    node_memory_mib: int
    node_connections: int

    @property
    def rooms(self) -> float:
        return self.users / self.room_size

    @property
    def joins(self) -> float:
        """Joins a second: everybody leaves after their stay and somebody else comes."""
        return self.users / (self.stay_minutes * 60)


class Line(msgspec.Struct, frozen=True):
    """One product: how often a second, times what it costs each part."""

    what: str
    unit: str
    per_second: float


class Plan(msgspec.Struct, frozen=True):
    cores: dict[str, float]
    shares: dict[str, dict[str, float]]
    nodes: int
    node_memory_bytes: float
    memory_bytes: float
    valkeys: int
    media_cores: float | None
    media_figure: str
    packets_per_second: float
    bits_per_second: float


class Unmeasured(Exception):
    """A unit the model needs is not among the figures."""


class Units(msgspec.Struct, frozen=True):
    """Measured figures by name, and where and when they were measured."""

    figures: dict[str, float]
    sources: tuple[str, ...] = ()


def load_of(platform: Platform) -> list[Line]:
    """Who asks for what how often."""
    chats = platform.users * platform.chat_rate / 60
    gifts = platform.users * platform.gift_rate / 60
    seats = platform.users * platform.seat_rate / 60
    # Comings and goings are announced to the room too; big rooms coalesce them to one event a second.
    moves = min(2 * platform.joins, platform.rooms) if platform.room_size >= 200 else 2 * platform.joins
    return [
        Line("connections, pings", "idle", platform.users),
        Line("joins", "join", platform.joins),
        Line("tokens", "token", platform.joins),
        Line("chat and seat commands", "command", chats + seats),
        Line("events delivered", "delivery", (chats + seats + gifts + moves) * platform.room_size),
        Line("gifts", "gift", gifts),
    ]


def plan(platform: Platform, figures: dict[str, float]) -> Plan:
    shares: dict[str, dict[str, float]] = {}
    for line in load_of(platform):
        shares[line.what] = {
            part: line.per_second * _figure(figures, f"{line.unit}_{part}_us") / 1e6 for part in PARTS
        }
    cores = {part: sum(share[part] for share in shares.values()) for part in PARTS}
    memory = platform.users * _figure(figures, "memory_node_bytes")
    base = _figure(figures, "base_node_bytes")
    by_cpu = cores["node"] / platform.utilisation
    by_memory = memory / max(1.0, platform.node_memory_mib * 2**20 - base)
    by_connections = platform.users / platform.node_connections
    nodes = max(1, math.ceil(max(by_cpu, by_memory, by_connections)))
    packets = (
        platform.rooms * platform.speakers * PACKETS_PER_SECOND * platform.room_size * platform.audio_share
    )
    media = next((name for name in AUDIO_FIGURES if name in figures), None)
    deliveries = next(line.per_second for line in load_of(platform) if line.unit == "delivery")
    return Plan(
        cores=cores,
        shares=shares,
        nodes=nodes,
        node_memory_bytes=base + memory / nodes,
        memory_bytes=base * nodes + memory,
        valkeys=max(1, math.ceil(cores["valkey"] / platform.utilisation)),
        media_cores=None if media is None else packets / figures[media] / platform.utilisation,
        media_figure=media or "",
        packets_per_second=packets,
        bits_per_second=packets * PACKET_BITS + deliveries * EVENT_BITS,
    )


def _figure(figures: dict[str, float], name: str) -> float:
    try:
        return figures[name]
    except KeyError:
        raise Unmeasured(f"no figure {name}: run `flylive bench units --json FILE` and give it") from None


class Benchmarked(msgspec.Struct, frozen=True):
    figures: tuple[Figure, ...]


class Results(msgspec.Struct, frozen=True):
    """What is read of a file that `flylive bench --json` wrote."""

    measured_at: str
    machine: Machine
    benchmarks: tuple[Benchmarked, ...]


def read_units(paths: Sequence[Path]) -> Units:
    """Figures of ours from results of `flylive bench`."""
    figures: dict[str, float] = {}
    sources = []
    for path in paths:
        results = msgspec.json.decode(path.read_bytes(), type=Results)
        ours = [one for found in results.benchmarks for one in found.figures if one.subject == "ours"]
        figures |= {one.name: one.value for one in ours}
        runs = max((len(one.runs) for one in ours), default=0)
        machine = sentence(results.machine)
        sources.append(f"{path}: {results.measured_at}, medians of up to {runs} runs, {machine}")
    return Units(figures, tuple(sources))


def measured(units: Units) -> list[str]:
    """Every unit the answer rests on, what it was on this machine, and how it was measured."""
    figures = units.figures
    lines = [
        "",
        "units, CPU time of each process:",
        f"  {'':10}{'node':>12}{'valkey':>10}{'postgres':>10}",
    ]
    for unit, method in METHODS.items():
        if f"{unit}_node_us" in figures:
            costs = [figures[f"{unit}_{part}_us"] for part in PARTS]
            shown = f"{costs[0]:9,.1f} us{costs[1]:10,.1f}{costs[2]:10,.1f}"
        else:
            shown = f"{figures[f'{unit}_node_bytes'] / 1024:8,.1f} KiB{'':20}"
        lines.append(f"  {unit:10}{shown}   {method}")
    lines += [
        f"  {name:10}{figures[name]:12,.0f}{'':20}   {AUDIO_METHOD}"
        for name in AUDIO_FIGURES
        if name in figures
    ]
    return [*lines, *(f"  from {source}" for source in units.sources)]


def told(platform: Platform, found: Plan, units: Units) -> str:
    """The plan in words and numbers."""
    lines = [
        f"{platform.users:,} users in {platform.rooms:,.0f} rooms of {platform.room_size}, "
        f"at most {platform.utilisation:.0%} of a core used",
        "",
        f"{'a second':>14}  {'of':24}{'node':>10}{'valkey':>10}{'postgres':>10}   cores, before headroom",
    ]
    for line in load_of(platform):
        share = found.shares[line.what]
        lines.append(
            f"{line.per_second:14,.1f}  {line.what:24}"
            f"{share['node']:10.2f}{share['valkey']:10.2f}{share['postgres']:10.2f}"
        )
    cores = found.cores
    lines += [
        f"{'':14}  {'together':24}{cores['node']:10.2f}{cores['valkey']:10.2f}{cores['postgres']:10.2f}",
        "",
        f"nodes      {found.nodes} processes, {cores['node'] / found.nodes:.2f} core and "
        f"{found.node_memory_bytes / 2**20:,.0f} MiB each, "
        f"{found.memory_bytes / 2**30:,.1f} GiB together",
        f"valkey     {found.valkeys} instances (or shards) of one core",
        f"postgres   {cores['postgres'] / platform.utilisation:,.1f} cores",
        _media(found),
        f"network    {found.bits_per_second / 1e9:,.2f} Gbit/s out",
    ]
    return "\n".join([*lines, *measured(units)])


def _media(found: Plan) -> str:
    if found.media_cores is None:
        return (
            f"audio      {found.packets_per_second:,.0f} packets/s; cores unknown: bench audio is not given"
        )
    return (
        f"audio      {found.media_cores:,.1f} cores of media workers for {found.packets_per_second:,.0f} "
        f"packets/s ({found.media_figure})"
    )


def _parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(
        prog="flylive capacity", description="How much machine for how many users."
    )
    words.add_argument("--users", type=int, default=100_000, help="people connected at once")
    words.add_argument("--room-size", type=int, default=50)
    words.add_argument("--chat-rate", type=float, default=1.0, help="messages per user and minute")
    words.add_argument("--gift-rate", type=float, default=0.1, help="gifts per user and minute")
    words.add_argument(
        "--seat-rate", type=float, default=0.1, help="seat and mic commands per user and minute"
    )
    words.add_argument("--stay-minutes", type=float, default=20.0, help="how long one stays")
    words.add_argument("--speakers", type=float, default=1.5, help="people talking at once in a room")
    words.add_argument("--audio-share", type=float, default=1.0, help="share of users who hear audio")
    words.add_argument("--utilisation", type=float, default=0.6, help="share of a core to be used")
    words.add_argument("--node-memory-mib", type=int, default=512, help="memory one node may take")
    words.add_argument(
        "--node-connections",
        type=int,
        default=10_000,
        help="connections one node may hold (default: as many as `flylive bench crowd` has shown)",
    )
    words.add_argument("--units", type=Path, action="append", metavar="FILE", help="JSON of flylive bench")
    return words


def main(arguments: Sequence[str]) -> int:
    """`flylive capacity`"""
    words = _parser().parse_args(arguments)
    paths = words.units
    if not paths:
        paths = [Path("units.json")]
        if not paths[0].exists():
            print(
                "no --units FILE: measuring this machine (flylive bench units), about two minutes",
                file=sys.stderr,
            )
            from loadtests.benchmarks.runner import main as bench

            if bench(["units", "--json", str(paths[0])]) != DONE:
                return FAILED
    fields = {name: value for name, value in vars(words).items() if name != "units"}
    try:
        units = read_units(paths)
        platform = Platform(**fields)
        print(told(platform, plan(platform, units.figures), units))
    except (OSError, Unmeasured, msgspec.DecodeError) as problem:
        print(f"flylive capacity: {problem}", file=sys.stderr)
        return MISUSED
    return DONE
