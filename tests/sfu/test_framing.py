"""RFC 4571 frames, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.framing import BadFrame, Framer, frame


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.integers(1, 30))
def test_frames_come_out_as_they_went_in(contents: list[bytes], step: int) -> None:
    stream = b"".join(map(frame, contents))
    framer, found = Framer(), []
    for position in range(0, len(stream), step):
        found += framer.feed(stream[position : position + step])
    assert found == contents


@pytest.mark.parametrize("size", [0, 1501, 65_535])
def test_an_impossible_length_is_an_error(size: int) -> None:
    with pytest.raises(BadFrame):
        Framer().feed(size.to_bytes(2, "big"))
