"""The machine a figure was measured on, without which the figure says little."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    processor: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    node: str
    load_average: tuple[float, float, float]


def _field(path: Path, key: str) -> str:
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def node_version() -> str:
    program = shutil.which("node")
    if program is None:
        return "absent"
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def describe() -> Machine:
    return Machine(
        processor=_field(Path("/proc/cpuinfo"), "model name"),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) * 1024,
        kernel=platform.release(),
        python=platform.python_version(),
        node=node_version(),
        load_average=os.getloadavg(),
    )


def sentence(machine: Machine) -> str:
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, "
        f"Linux {machine.kernel}, Python {machine.python}, Node {machine.node}, "
        f"load {machine.load_average[0]:.2f}"
    )
