"""Smoothing, the active speaker and the seats of slots."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfu.engine import Level
from sfu.speakers import ABSENT_SECONDS, HOLD_SECONDS, ActiveSpeaker, Loudness, Seating

LOUD, SPEECH, QUIET = 100.0, 80.0, 20.0


def test_loudness_rises_at_once_and_falls_slowly() -> None:
    loudness = Loudness()
    loudness.observe(Level(1, 2, 30, 30), 0.0)
    loudness.observe(Level(1, 2, 30, 30), 0.04)
    assert loudness.of(1, 0.04) > 75
    loudness.observe(Level(1, 2, 127, 127), 0.24)
    assert 30 < loudness.of(1, 0.24) < 75


def test_who_sends_nothing_is_silent() -> None:
    loudness = Loudness()
    loudness.observe(Level(1, 2, 10, 10), 0.0)
    assert loudness.of(1, 0.1) > 0
    assert loudness.of(1, ABSENT_SECONDS + 0.1) == 0
    assert loudness.of(2, 0.1) == 0
    loudness.forget(1)
    assert loudness.of(1, 0.1) == 0


def test_the_active_speaker_does_not_flicker() -> None:
    active = ActiveSpeaker()
    assert active.update({1: QUIET, 2: 0.0}, 0.0) is None
    assert active.update({1: SPEECH, 2: QUIET}, 0.1) == 1
    assert active.update({1: SPEECH, 2: LOUD}, 0.2) == 1
    assert active.update({1: SPEECH, 2: LOUD}, 0.3) == 1
    assert active.update({1: SPEECH, 2: LOUD}, 0.6) == 2
    assert active.update({1: SPEECH, 2: QUIET}, 0.7) == 1
    assert active.update({}, 0.8) is None


def test_everybody_sits_while_there_is_room() -> None:
    seating = Seating(3)
    assert seating.update({1: 0.0, 2: SPEECH}, 0.0)
    assert set(seating.occupants) == {1, 2, None}
    assert not seating.update({1: SPEECH, 2: 0.0}, 0.1)


def test_a_newcomer_must_speak_and_be_clearly_louder() -> None:
    seating = Seating(1)
    seating.update({1: SPEECH}, 0.0)
    assert not seating.update({1: SPEECH, 2: SPEECH + 3}, 5.0)
    assert seating.update({1: SPEECH, 2: LOUD}, 5.0)
    assert seating.occupants == [2]
    silent = Seating(1)
    silent.update({1: 0.0}, 0.0)
    assert not silent.update({1: 0.0, 2: QUIET}, 5.0)


def test_a_fresh_occupant_is_held_unless_it_is_silent() -> None:
    seating = Seating(1)
    seating.update({1: SPEECH, 2: 0.0}, 0.0)
    assert not seating.update({1: SPEECH, 2: LOUD}, HOLD_SECONDS / 2)
    assert seating.update({1: QUIET, 2: LOUD}, HOLD_SECONDS / 2)


def test_own_voices_and_those_who_left_are_not_seated() -> None:
    seating = Seating(2)
    seating.update({1: LOUD, 2: LOUD, 3: LOUD}, 0.0, without={1})
    assert set(seating.occupants) == {2, 3}
    assert seating.update({3: LOUD}, 1.0, without={1})
    assert set(seating.occupants) == {3, None}


@given(
    st.integers(1, 4),
    st.lists(st.dictionaries(st.integers(1, 8), st.floats(0, 127), max_size=8), max_size=30),
)
def test_nobody_sits_twice_and_no_seat_is_wasted(size: int, rounds: list[dict[int, float]]) -> None:
    seating = Seating(size)
    for number, loudness in enumerate(rounds):
        before = list(seating.occupants)
        changed = seating.update(loudness, number * 0.3)
        seated = [occupant for occupant in seating.occupants if occupant is not None]
        assert len(set(seated)) == len(seated) == min(size, len(loudness))
        assert set(seated) <= set(loudness)
        assert changed is (before != seating.occupants)
        for old, new in zip(before, seating.occupants, strict=True):
            # Who stays stays in its place: a listener's slot never changes without need.
            assert old == new or old not in seated or old is None
