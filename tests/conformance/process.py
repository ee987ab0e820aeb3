"""The conformance server as a process of its own, on a free port."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.case import PING_INTERVAL_SECONDS, PING_TIMEOUT_SECONDS

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def server_process(
    port: int = 0,
    *,
    front: bool = True,
    ping_interval_seconds: float = PING_INTERVAL_SECONDS,
    ping_timeout_seconds: float = PING_TIMEOUT_SECONDS,
) -> Iterator[str]:
    """Yields the URL; the process ends with the block."""
    command = [sys.executable, "-m", "tests.conformance.server", "--port", str(port)]
    command += ["--ping-interval", str(ping_interval_seconds), "--ping-timeout", str(ping_timeout_seconds)]
    if not front:
        command.append("--no-front")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            if found is None:
                raise RuntimeError(f"the server did not start: {line!r}")
            yield found[0]
        finally:
            process.terminate()
