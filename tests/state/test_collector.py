"""The collector's settings, in a process of their own since they are for good."""

import subprocess
import sys

SCRIPT = """
import gc
from state import collector
kept = [[] for _ in range(1000)]
collector.settle()
assert gc.get_freeze_count() > 1000
assert gc.get_threshold() == (50_000, 20, 20)
cycle = []; cycle.append(cycle); del cycle
assert gc.collect() >= 1
"""


def test_settled() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
