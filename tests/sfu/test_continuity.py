"""The rewrite: whatever the sources do, numbers that leave are continuous and never used twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.continuity import Rewrite
from sfu.engine import FRAME_TICKS

# Each run of a source: where its numbers begin, how many packets, how long the pause before it is.
runs = st.lists(
    st.tuples(st.integers(0, 1 << 30), st.integers(0, 0xFFFFFFFF), st.integers(1, 20), st.floats(0, 5)),
    min_size=1,
    max_size=10,
)


@given(runs)
def test_changes_of_source_leave_no_gap(sources: list[tuple[int, int, int, float]]) -> None:
    rewrite = Rewrite(100, 5000)
    now, expected, last_timestamp = 0.0, 100, None
    for number, (first, timestamp, count, pause) in enumerate(sources):
        now += pause
        rewrite.synced = False
        for step in range(count):
            index, moment = first + step, timestamp + step * FRAME_TICKS
            if not rewrite.synced:
                rewrite.sync(index, moment, now, number)
            outgoing = index + rewrite.offset
            stamp = (moment + rewrite.timestamp_offset) & 0xFFFFFFFF
            assert outgoing == expected
            if last_timestamp is None:
                assert stamp == 5000
            else:
                assert 0 < (stamp - last_timestamp) & 0xFFFFFFFF <= 48_000 * 6
            rewrite.advance(outgoing, stamp, now)
            expected, last_timestamp, now = expected + 1, stamp, now + 0.02


def test_time_that_passed_is_in_the_timestamp() -> None:
    rewrite = Rewrite(1, 0)
    rewrite.sync(10, 1000, 0.0, "a")
    rewrite.advance(1, 0, 0.0)
    rewrite.synced = False
    rewrite.sync(500, 77, 2.0, "b")
    assert 77 + rewrite.timestamp_offset == 100 * FRAME_TICKS


def test_the_same_source_keeps_its_own_clock() -> None:
    rewrite = Rewrite(1, 0)
    rewrite.sync(10, 1000, 0.0, "a")
    rewrite.advance(1, 0, 0.0)
    rewrite.sync(60, 1000 + 50 * FRAME_TICKS, 3.0, "a")
    assert 1000 + 50 * FRAME_TICKS + rewrite.timestamp_offset == 50 * FRAME_TICKS


def test_silence_that_went_ahead_is_not_gone_back_behind() -> None:
    rewrite = Rewrite(1, 0)
    rewrite.sync(10, 1000, 0.0, "a")
    rewrite.advance(4, 3 * FRAME_TICKS, 0.0)
    rewrite.sync(11, 1000 + FRAME_TICKS, 0.02, "a")
    assert 1000 + FRAME_TICKS + rewrite.timestamp_offset == 4 * FRAME_TICKS
