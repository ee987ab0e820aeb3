"""RTP bytes: what goes out comes back, and nothing malformed raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu import rtp

packets = st.builds(
    rtp.Packet,
    st.booleans(),
    st.integers(0, 127),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=4),
    st.binary(max_size=100),
)


@given(packets)
def test_what_is_built_is_read_back(packet: rtp.Packet) -> None:
    assert rtp.parse(rtp.build(packet)) == packet


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=40), min_size=1, max_size=4))
def test_both_forms_of_extensions_are_read_back(elements: dict[int, bytes]) -> None:
    block = rtp.extension_block(sorted(elements.items()))
    assert len(block) % 4 == 0
    profile = int.from_bytes(block[:2], "big")
    assert rtp.parse_extensions(profile, block[4:]) == elements


def test_padding_is_taken_off() -> None:
    packet = rtp.Packet(False, 111, 1, 2, 3, {}, b"opus")
    data = bytearray(rtp.build(packet)) + b"\0\0\3"
    data[0] |= rtp.PADDING_BIT
    assert rtp.parse(bytes(data)) == packet


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(12),
        b"\x80" * 11,
        b"\x90" + bytes(11),
        b"\x90" + bytes(11) + b"\xbe\xde\x00\x02" + bytes(4),
        b"\x90" + bytes(11) + b"\xbe\xde\x00\x01\x1f\x00\x00\x00",
        b"\x90" + bytes(11) + b"\x10\x00\x00\x01\x01\xff\x00\x00",
        b"\xa0" + bytes(11),
        b"\xa0" + bytes(11) + b"\x02",
        b"\x8f" + bytes(20),
    ],
)
def test_what_is_malformed_is_nothing(data: bytes) -> None:
    assert rtp.parse(data) is None


@given(st.integers(1 << 17, 1 << 40), st.integers(-0x7FFF, 0x7FFF))
def test_an_index_is_the_nearest(highest: int, step: int) -> None:
    assert rtp.extend(highest, (highest + step) & 0xFFFF) == highest + step


def test_rtcp_is_told_from_rtp() -> None:
    assert rtp.is_rtcp(b"\x80\xc8")
    assert not rtp.is_rtcp(b"\x80\x6f")
    assert not rtp.is_rtcp(b"\x80\xef")
    assert not rtp.is_rtcp(b"\x80")


blocks = st.lists(st.tuples(st.just(111), st.integers(0, 0x3FFF), st.binary(max_size=60)), max_size=3)


@given(blocks, st.binary(max_size=60))
def test_red_is_read_back_with_another_payload_type(
    redundant: list[tuple[int, int, bytes]], primary: bytes
) -> None:
    whole = [*redundant, (111, 0, primary)]
    found = rtp.red_blocks(rtp.red_payload(whole, 96))
    assert found == [(96, offset, data) for _, offset, data in whole]


@pytest.mark.parametrize("payload", [b"", b"\xef", b"\xef\x00\x00", b"\xef\x00\x00\x05\x6f\x01"])
def test_red_that_is_cut_is_nothing(payload: bytes) -> None:
    assert rtp.red_blocks(payload) is None
