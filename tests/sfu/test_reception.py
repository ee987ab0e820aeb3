"""Receive statistics: the examples of RFC 3550."""

from __future__ import annotations

import pytest

from sfu.reception import Reception


def test_nothing_is_reported_before_the_first_packet() -> None:
    assert Reception().block(1, 0.0) is None


def test_loss_is_counted_over_the_roll_over() -> None:
    reception = Reception()
    for sequence in (65_533, 65_534, 0, 1, 2):
        reception.packet(sequence, 0, 0.0)
    assert reception.lost == 1
    block = reception.block(9, 0.0)
    assert block is not None
    assert (block.lost, block.fraction_lost, block.highest) == (1, 256 // 6, 65_536 + 2)
    assert reception.packet(65_535, 0, 0.0) == 65_535 + 0x10000
    again = reception.block(9, 0.0)
    assert again is not None
    assert (again.lost, again.fraction_lost) == (0, 0)


def test_jitter_is_that_of_the_arrival() -> None:
    steady, shaken = Reception(), Reception()
    for number in range(200):
        steady.packet(number, 960 * number, number * 0.02)
        shaken.packet(number, 960 * number, number * 0.02 + (0.01 if number % 2 else 0))
    assert steady.jitter < 1
    assert shaken.jitter == pytest.approx(480, rel=0.05)


def test_a_report_quotes_the_senders_last_one() -> None:
    reception = Reception()
    reception.packet(1, 0, 10.0)
    reception.sender_report(0x1122334455667788, 11.0)
    block = reception.block(1, 12.5)
    assert block is not None
    assert (block.last_report, block.delay) == (0x33445566, int(1.5 * 65536))
