"""The C core under AddressSanitizer and UBSan: `python -m tests.sfu.native.fuzz INPUTS [SEED]`.

Whatever fails prints its seed; the same two numbers bring it back.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from sfu.native.build import CORE_SOURCES, HERE, compile_sources

TESTS = Path(__file__).parent
SANITISERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def build(directory: Path) -> Path:
    program = directory / "fuzz"
    sources = [*CORE_SOURCES, TESTS / "fuzz.c", TESTS / "stand_ins.c"]
    compile_sources(sources, program, *SANITISERS, f"-I{HERE}", f"-I{TESTS}")
    return program


def run(inputs: int, seed: int) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="flylive-fuzz-") as directory:
        command = [str(build(Path(directory))), str(inputs), str(seed)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    words = [*sys.argv[1:], "1"]
    result = run(int(words[0]), int(words[1]))
    sys.stdout.write(result.stdout + result.stderr)
    sys.exit(result.returncode)
