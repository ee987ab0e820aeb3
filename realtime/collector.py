"""The cyclic garbage collector, told what kind of process this is.

Nothing that comes and goes with a client is a cycle: reference counts free it with its last use
(tests/realtime/ socketio/test_leaks.py holds that). What the collector would find is rare, but looking for
it costs by the number of objects alive, which here grows with the number of clients: at the usual thresholds
a storm of connects spends a tenth of its time in it, in pauses of the whole loop. So it looks at what was
made at the start never again, and at the rest seldom.
"""

import gc

YOUNG_OBJECTS = 50_000  # made and not yet freed, before the youngest are looked at
YOUNG_ROUNDS, MIDDLE_ROUNDS = 20, 20


def settle() -> None:
    """Call once, when the node has started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_ROUNDS, MIDDLE_ROUNDS)
