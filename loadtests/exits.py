"""Exit codes of the load-test commands, the same for all of them, so that a pipeline can tell them apart."""

DONE, FAILED, MISUSED = 0, 1, 2
# Everything worked, and a limit or a threshold did not hold.
BROKEN = 99
