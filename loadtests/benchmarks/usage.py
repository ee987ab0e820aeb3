"""What processes cost: CPU time and memory of a process or of its whole tree.

The CPU time of a live process is read from its own clock, which the kernel keeps for all its threads (ended
ones too) in nanoseconds; /proc would tell it in ticks of 10 ms. Only what a child used before it ended is
taken from there, through its parent's cutime and cstime.
"""

import os
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# clock_getcpuclockid(3) is this arithmetic, and Python does not have it.
_PROCESS_CLOCK, _PID_SHIFT = 2, 3


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, or None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def tree(pid: int) -> list[int]:
    """The process and all its live descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop(0)
        found.append(current)
        waiting.extend(children.get(current, ()))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of this process alone (all its threads)."""
    try:
        return time.clock_gettime(~pid << _PID_SHIFT | _PROCESS_CLOCK)
    except OSError:
        return 0.0


def tree_cpu_seconds(pid: int) -> float:
    """CPU time of the process tree, with the children that have ended and were waited for."""
    members = tree(pid)
    ended_ticks = sum(int(field) for member in members for field in (_stat(member) or [])[13:15])
    return sum(cpu_seconds(member) for member in members) + ended_ticks / TICKS_PER_SECOND


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def find_in_tree(pid: int, *words: str) -> list[int]:
    """The members of the tree whose command line has one of these words, e.g. "valkey-server"."""
    return [member for member in tree(pid) if any(word in command_line(member) for word in words)]


def memory_bytes(pid: int) -> int:
    """Proportional set size: what the process costs when shared pages are divided among their users."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no Pss line")


def resident_bytes(pid: int) -> int:
    """Resident set size of one process, cheap enough to sample every second."""
    fields = _stat(pid)
    return 0 if fields is None else int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
