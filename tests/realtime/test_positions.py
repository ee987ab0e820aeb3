"""Positions: what was sent is understood, what was not sent is refused, and marks leave no doubt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.positions import MARKS_KEPT, Mark, Position, inbox_seen, marked, parse

EPOCHS = st.text("abcdef0123456789", max_size=8)
INBOXES = st.one_of(st.none(), st.text("0123456789-", min_size=1, max_size=12))


@given(EPOCHS, st.integers(0, 2**53), INBOXES)
def test_what_is_written_is_read(epoch: str, seq: int, inbox: str | None) -> None:
    position = Position(epoch, seq, inbox)
    assert parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "e", "e:", "e:x", "e:-1", "e:1|", "e:1|2|3", "e:" + "9" * 17, "e:٣", "x" * 300]
)
def test_nonsense_is_refused(text: str) -> None:
    assert parse(text) is None


@given(st.text(max_size=50))
def test_no_text_is_an_error(text: str) -> None:
    parse(text)


def test_only_the_newest_marks_stay() -> None:
    marks: tuple[Mark, ...] = ()
    for seq in range(MARKS_KEPT + 5):
        marks = marked(marks, Mark("e", seq, str(seq)))
    assert len(marks) == MARKS_KEPT
    assert inbox_seen(marks, Position("e", 5)) is None, "too old: nobody knows any more"
    assert inbox_seen(marks, Position("e", 6)) == "5"


def test_marks_of_one_place_fold() -> None:
    assert marked((Mark("e", 3, "7"),), Mark("e", 3, "8")) == (Mark("e", 3, "8"),)


def test_another_epoch_says_nothing() -> None:
    assert inbox_seen((Mark("a", 1, "7"),), Position("b", 9)) is None


@given(st.lists(st.sampled_from(["room", "inbox", "stored"]), max_size=60), st.data())
def test_a_client_cut_off_anywhere_is_placed_exactly(script: list[str], data: st.DataObject) -> None:
    """Play a session as the gateway does, cut it after any frame, lose everything but the record."""
    marks: tuple[Mark, ...] = (Mark("e", 0, "0"),)
    unstored: tuple[Mark, ...] = ()
    stored = marks
    seq = inbox = 0
    exact = False
    frames: list[tuple[str, int, int, tuple[Mark, ...]]] = []
    for step in script:
        if step == "room":
            seq += 1
            position = Position("e", seq, str(inbox) if exact else None)
        elif step == "inbox":
            inbox += 1
            marks = unstored = marked(marks, Mark("e", seq, str(inbox)))
            exact = True
            position = Position("e", seq, str(inbox))
        else:
            stored, exact = (unstored or stored), False
            continue
        frames.append((str(position), seq, inbox, stored))
    if not frames:
        return
    cut = data.draw(st.integers(0, len(frames) - 1))
    text, seen_seq, seen_inbox, _ = frames[cut]
    at_death = data.draw(st.integers(cut, len(frames) - 1))
    cut_at = parse(text)
    assert cut_at is not None
    assert cut_at.seq == seen_seq
    found = inbox_seen(frames[at_death][3], cut_at)
    assert found in (None, str(seen_inbox))
    if len(script) < MARKS_KEPT:
        assert found == str(seen_inbox)
