"""What processes cost, read from /proc: CPU time and memory of a process or of its whole tree.

CPU time is utime + stime, all threads, of each live process; what a child used before it ended is counted
through its parent's cutime and cstime. The kernel counts in ticks of 10 ms, so measure for a second or more.
"""

import os
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


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
    fields = _stat(pid)
    return 0.0 if fields is None else (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def tree_cpu_seconds(pid: int) -> float:
    """CPU time of the process tree, with the children that have ended and were waited for."""
    ticks = 0
    for member in tree(pid):
        if fields := _stat(member):
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


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
