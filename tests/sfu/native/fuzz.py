"""The C core under AddressSanitizer and UBSan: `python -m tests.sfu.native.fuzz --inputs N`.

Whatever fails prints its number of inputs and its seed; the same two bring it back.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sfu.native.build import HERE, core_sources
from state.compiled import compile_sources

TESTS = Path(__file__).parent
ROUND_INPUTS = 50_000
"""As in fuzz.c."""
SANITISERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def build(directory: Path) -> Path:
    program = directory / "fuzz"
    sources = [*core_sources(), TESTS / "fuzz.c", TESTS / "stand_ins.c"]
    compile_sources(sources, program, *SANITISERS, f"-I{HERE}", f"-I{TESTS}")
    return program


def run(program: Path, inputs: int, seed: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program), str(inputs), str(seed)], capture_output=True, text=True, check=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sfu.native.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--shard", type=int, default=1_000_000, help="inputs of one run")
    options = parser.parse_args()
    starts = range(0, options.inputs, options.shard)
    with (
        tempfile.TemporaryDirectory(prefix="flylive-fuzz-") as directory,
        ThreadPoolExecutor(options.processes) as pool,
    ):
        program = build(Path(directory))

        def shard(start: int) -> int:
            # The core takes a seed per round, and counts them up from the one it is given.
            inputs, seed = min(options.shard, options.inputs - start), options.seed + start // ROUND_INPUTS
            result = run(program, inputs, seed)
            failed = f"FAIL --inputs {inputs} --seed {seed}\n{result.stderr}" if result.returncode else ""
            print(f"{failed}from {start}: {result.stdout}", end="", flush=True)
            return result.returncode

        failures = sum(map(bool, pool.map(shard, starts)))
    print(f"{options.inputs} inputs, {failures} of {len(starts)} runs failed")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
