"""The engine's thread and the worker's never touch the same thing at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sfu.native.build import HERE, core_sources
from state.compiled import compile_sources

TESTS = Path(__file__).parent
TURNS = 20_000
LIBRARIES = "libcrypto.so.3", "libcrypto.so.1.1"


def test_the_thread_sanitiser_is_content(tmp_path: Path) -> None:
    program = tmp_path / "threads"
    flags = ("-g", "-O1", "-fsanitize=thread", f"-I{HERE}")
    compile_sources([*core_sources(), TESTS / "threads.c"], program, *flags)
    for library in LIBRARIES:
        # setarch: the sanitiser's memory map does not go with as much randomness as some kernels use
        command = ["setarch", "-R", str(program), library, str(TURNS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 2:  # that library is there
            break
    assert done.returncode == 0, done.stdout + done.stderr
