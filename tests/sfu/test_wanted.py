"""What is missing of a publisher's packets, and when it is asked for."""

from __future__ import annotations

from sfu.engine import ASK_AGAIN_SECONDS, ASKS, WANTED_PACKETS
from sfu.wanted import Wanted


def test_a_gap_is_asked_for_at_once_and_again_until_it_comes_or_is_too_late() -> None:
    wanted = Wanted()
    assert wanted.packet(100, 0.0) == []
    assert wanted.packet(103, 0.06) == [101, 102]
    assert wanted.packet(104, 0.08) == []
    assert wanted.packet(102, 0.10) == []
    asked = [index for step in range(1, 20) for index in wanted.packet(104 + step, 0.08 + 0.02 * step)]
    assert asked == [101] * (ASKS - 1)
    assert wanted.asked == 2 + ASKS - 1
    assert ASKS * ASK_AGAIN_SECONDS < 0.4


def test_a_jump_or_a_new_beginning_is_no_loss() -> None:
    wanted = Wanted()
    wanted.packet(100, 0.0)
    assert wanted.packet(102, 0.0) == [101]
    assert wanted.packet(103 + WANTED_PACKETS, 1.0) == []
    wanted.restart()
    assert wanted.packet(150, 2.0) == []
    assert wanted.packet(149, 2.0) == []


def test_there_is_a_bound() -> None:
    wanted = Wanted()
    wanted.packet(0, 0.0)
    asked = [wanted.packet(step * WANTED_PACKETS, 1e-3 * step) for step in range(1, 50)]
    assert max(map(len, asked)) < WANTED_PACKETS
    assert len(wanted.packet(50 * WANTED_PACKETS, 10.0)) <= WANTED_PACKETS
