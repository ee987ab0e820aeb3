"""A bad network on the way in: what arrives is forwarded, in its place, and nobody is taken for another."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sfu import rtp
from tests.sfu.bench import Bench, Client

PACKETS = 500
LOSS = 0.10
REORDERED = 0.05
JITTER_PACKETS = 1.5
"""30 ms of jitter at 20 ms per packet."""


@pytest.fixture(params=["python", "native"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(request.param)
    yield made
    made.close()


def impaired(chance: random.Random) -> list[int]:
    """Numbers of the packets that arrive, in order of arrival."""
    moments = []
    for number in range(PACKETS):
        delay = chance.uniform(0, JITTER_PACKETS) if chance.random() < 0.5 else 0.0
        if chance.random() < REORDERED:
            delay += chance.uniform(1, 4)
        moments.append((number + delay, number))
    first, *rest = (number for _, number in sorted(moments))
    return [first, *(number for number in rest if chance.random() >= LOSS)]


def send(client: Client, ssrc: int, number: int) -> None:
    payload = bytes([ssrc]) + number.to_bytes(2, "big") + bytes(40)
    client.say(ssrc, payload, sequence=2000 + number, timestamp=960 * number)


@pytest.mark.parametrize("seed", range(3))
def test_loss_jitter_and_reordering_add_no_loss_of_ours(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    speakers, listener = [bench.client(), bench.client()], bench.client()
    for ssrc, speaker in enumerate(speakers):
        producer = bench.producer(speaker, ssrc, packets_per_second=10_000)
        slot = bench.engine.add_slot()
        bench.consumer(listener, slot, 100 + ssrc)
        bench.engine.set_slot(slot, producer)
    packets: list[rtp.Packet] = []
    arrivals = [impaired(chance), impaired(chance)]
    for turn in range(max(map(len, arrivals))):
        for ssrc, speaker in enumerate(speakers):
            if turn < len(arrivals[ssrc]):
                send(speaker, ssrc, arrivals[ssrc][turn])
        if turn % 50 == 0:  # the listener's socket holds so many
            bench.settle()
            packets += listener.received()
    expected = [[n for n in numbers if n >= numbers[0]] for numbers in arrivals]
    packets += bench.heard(listener, sum(map(len, expected)) - len(packets))
    for ssrc in range(2):
        heard = [packet for packet in packets if packet.ssrc == 100 + ssrc]
        assert {packet.payload[0] for packet in heard} == {ssrc}
        assert [int.from_bytes(packet.payload[1:3], "big") for packet in heard] == expected[ssrc]
        steps = {packet.sequence - int.from_bytes(packet.payload[1:3], "big") for packet in heard}
        assert len(steps) == 1, "a packet lost its place"
