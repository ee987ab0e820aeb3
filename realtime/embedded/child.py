"""One child process that dies with its parent and is never started twice on the same files.

Two mechanisms carry that:

- On Linux the child asks for a signal at its parent's death (`PR_SET_PDEATHSIG`), so that `kill -9` of the
  server leaves nothing behind.
- The child inherits a locked file. The lock is held exactly as long as any process of the child lives, also
  when the parent is gone, also on systems without the death signal. Whoever starts next waits for it, and
  ends the leftover by the process id in the file, which the held lock proves to be alive.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import msgspec

from realtime.failures import CannotStart

STOP_SECONDS = 10.0
POLL_SECONDS = 0.005
LOG_TAIL_BYTES = 600
_PR_SET_PDEATHSIG = 1


class Account(msgspec.Struct, frozen=True):
    """The system account a child runs under when the parent is root."""

    name: str
    user_id: int
    group_id: int


class Program(msgspec.Struct, frozen=True):
    """What to run, and how it is asked to stop."""

    name: str
    arguments: Sequence[str | Path]
    log: Path
    lock: Path
    stop_signal: signal.Signals
    environment: Mapping[str, str]
    account: Account | None = None


class Child:
    """A program that is launched, waited for, and stopped."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        lock = _exclusive_lock(self.program)
        try:
            self._process = self._spawn(lock)
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(self._process.pid).encode(), 0)
        finally:
            os.close(lock)

    def await_ready(self, is_ready: Callable[[int], bool], seconds: float) -> None:
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while not is_ready(self._process.pid):
            if self._process.poll() is not None:
                raise CannotStart(f"{self.program.name} did not start: {log_tail(self.program.log)}")
            if time.monotonic() > deadline:
                self.kill()
                raise CannotStart(
                    f"{self.program.name} was not ready in {seconds:.0f} s: {log_tail(self.program.log)}"
                )
            time.sleep(POLL_SECONDS)

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        account = self.program.account
        with self.program.log.open("ab") as log:
            return subprocess.Popen(
                [str(argument) for argument in self.program.arguments],
                cwd="/",
                env=dict(self.program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal reaches the parent only, which then stops its children in order.
                start_new_session=True,
                pass_fds=(lock,),
                # Children are made on the main thread, before other threads hold locks.
                preexec_fn=die_with_parent(self.program.stop_signal),  # noqa: PLW1509
                **account_arguments(account),
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.program.stop_signal)

    def wait(self) -> None:
        """Waits for the end that `ask_to_stop` asked for; kills what does not come to an end."""
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class AccountArguments(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def account_arguments(account: Account | None) -> AccountArguments:
    """What `subprocess` needs to run under another account, without the parent's extra groups."""
    if account is None:
        return {}
    return {"user": account.user_id, "group": account.group_id, "extra_groups": []}


def log_tail(log: Path) -> str:
    """The last lines of a server's log, on one line."""
    try:
        text = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
    except OSError as error:
        return f"no log ({error.strerror})"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{' | '.join(lines[-3:])} (log: {log})"


def _exclusive_lock(program: Program) -> int:
    """The locked file, after a leftover of an earlier parent has come to its end."""
    lock = os.open(program.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + STOP_SECONDS
    asked = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if not asked:
                _signal_leftover(lock, program.stop_signal)
                asked = True
            if time.monotonic() > deadline:
                os.close(lock)
                raise CannotStart(f"{program.name} of an earlier run still holds {program.lock}") from None
            time.sleep(POLL_SECONDS)


def _signal_leftover(lock: int, stop_signal: signal.Signals) -> None:
    text = os.pread(lock, 20, 0)
    if text.isdigit():
        try:
            os.kill(int(text), stop_signal)
        except ProcessLookupError:
            return


def die_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """What the child does between fork and exec, where the system offers it."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def after_fork() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(stop_signal))
        # The parent may have died before the request was in place.
        if os.getppid() != parent:
            os._exit(1)

    return after_fork
