"""Identifiers: what may be one, and that those made here sort by birth whatever the clocks say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.ids import id_after, is_id, new_id

TIMES = st.integers(0, (1 << 48) - 2)
RANDOM = st.binary(min_size=10, max_size=10)


@pytest.mark.parametrize("text", ["a", "A-z_9", "x" * 64])
def test_an_id_is_short_and_safe_in_urls(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "a\n", "é", "a/b", None, 7])
def test_nothing_else_is_one(text: object) -> None:
    assert not is_id(text)


@given(RANDOM, RANDOM, TIMES)
def test_made_ids_sort_by_time(one: bytes, two: bytes, now_ms: int) -> None:
    first, second = new_id(one, now_ms), new_id(two, now_ms + 1)
    assert is_id(first)
    assert len(first) == 26
    assert first < second


@given(RANDOM, RANDOM, TIMES, TIMES)
def test_an_id_after_another_is_greater_on_any_clock(
    one: bytes, two: bytes, before_ms: int, now_ms: int
) -> None:
    previous = new_id(one, before_ms)
    assert id_after(previous, two, now_ms) > previous
    assert id_after("", two, now_ms) == new_id(two, max(now_ms, 1))


def test_too_little_randomness_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        new_id(b"short", 0)
