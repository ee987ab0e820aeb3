"""The cyclic garbage collector, told what kind of process this is.

What comes and goes with a client is freed by reference counts with its last use, or nearly all of it
(tests/realtime/socketio/test_leaks.py holds a node to that). What the collector would find is rare, but
looking for it costs by the number of objects alive, which grows with the number of clients: at the usual
thresholds a storm of connects spends a tenth of its time in it, and the whole loop stands still for 100 to
200 ms at a time. So it looks at what was made at the start never again, and at the rest seldom.
"""

import gc

YOUNG_OBJECTS = 50_000  # made and not yet freed, before the youngest are looked at
YOUNG_ROUNDS, MIDDLE_ROUNDS = 20, 20


def settle(young_objects: int = YOUNG_OBJECTS) -> None:
    """Call once, when the process has started. Fewer young objects: shorter pauses, more often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(young_objects, YOUNG_ROUNDS, MIDDLE_ROUNDS)
