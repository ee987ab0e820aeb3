"""What every engine must report, read, send again and ask for again; collected as `contract_engine` is."""

from __future__ import annotations

import pytest

from sfu import rtcp, rtp
from sfu.engine import ASKS
from tests.sfu.bench import Bench, Client

SPOKEN = 7


def asked(client: Client) -> list[int]:
    """The sequence numbers that the client was asked for since the last look."""
    client.received()
    reports = [report for data in client.rtcp for report in rtcp.parse(data)]
    client.rtcp.clear()
    return [number for report in reports if isinstance(report, rtcp.Nack) for number in report.sequences]


class ReportContract:
    """Subclasses give a `bench` fixture."""

    def test_reports_are_sent_and_read(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        consumer = bench.consumer(listener, bench.producer(speaker, SPOKEN))
        for sequence in (1, 2, 4):
            speaker.say(SPOKEN, b"abc", sequence=sequence)
        bench.heard(listener, 3)
        speaker.received()
        speaker.rtcp.clear()

        def told() -> bool:
            speaker.received()
            listener.received()
            return bool(speaker.rtcp and listener.rtcp)

        bench.until(told)
        received = [r for r in rtcp.parse(speaker.rtcp[0]) if isinstance(r, rtcp.ReceiverReport)]
        assert (received[0].blocks[0].ssrc, received[0].blocks[0].lost) == (SPOKEN, 1)
        sent = next(r for r in rtcp.parse(listener.rtcp[-1]) if isinstance(r, rtcp.SenderReport))
        assert (sent.ssrc, sent.packets, sent.octets) == (9001, 3, 9)
        assert b"cname" in listener.rtcp[-1]
        block = rtcp.Block(9001, 64, 5, 102, 480, rtcp.middle(sent.ntp), 0)
        report = rtcp.receiver_report(1, [block])
        assert listener.sending is not None
        listener.send(listener.sending.protect_rtcp(report))
        bench.until(lambda: bench.engine.consumer_stats(consumer).lost == 5)
        stats = bench.engine.consumer_stats(consumer)
        assert stats.fraction_lost == 0.25
        assert stats.jitter_seconds == pytest.approx(0.01)
        assert stats.round_trip_seconds is not None
        assert 0 <= stats.round_trip_seconds < 5

    def test_a_nack_brings_the_very_same_bytes(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, SPOKEN)
        consumer = bench.consumer(listener, producer, nack=True)
        for _ in range(3):
            speaker.say(SPOKEN, b"opus")
        bench.heard(listener, 3)
        sent = [data for data in listener.raw if not rtp.is_rtcp(data)]
        assert listener.sending is not None
        listener.send(listener.sending.protect_rtcp(rtcp.nack(1, 9001, [101, 555])))
        bench.until(lambda: bench.engine.consumer_stats(consumer).retransmitted == 1)
        bench.settle()
        assert listener.sock.recv(2048) == sent[1]

    def test_a_nack_brings_nothing_of_a_voice_that_may_not_speak_any_more(self, bench: Bench) -> None:
        speaker, other, listener = bench.client(), bench.client(), bench.client()
        producer, later = bench.producer(speaker, SPOKEN), bench.producer(other, 8)
        slot = bench.engine.add_slot()
        consumer = bench.consumer(listener, slot, nack=True)
        bench.engine.set_slot(slot, producer)
        speaker.say(SPOKEN, b"one")
        bench.heard(listener, 1)
        bench.engine.set_slot(slot, later)
        other.say(8, b"two")
        bench.heard(listener, 1)
        assert listener.sending is not None
        bench.engine.set_speaking_right(producer, False)
        listener.send(listener.sending.protect_rtcp(rtcp.nack(1, 9001, [100, 101])))
        bench.until(lambda: bench.engine.consumer_stats(consumer).retransmitted == 1)
        bench.engine.remove_producer(later)
        listener.send(listener.sending.protect_rtcp(rtcp.nack(1, 9001, [100, 101])))
        bench.settle()
        assert bench.engine.consumer_stats(consumer).retransmitted == 1

    def test_a_publisher_is_asked_for_what_is_missing(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, SPOKEN, nack=True, packets_per_second=1000)
        bench.consumer(listener, producer)
        speaker.say(SPOKEN, b"one")
        lost = [speaker.packet(SPOKEN, b"two"), speaker.packet(SPOKEN, b"three")]
        speaker.say(SPOKEN, b"four")
        assert [packet.payload for packet in bench.heard(listener, 2)] == [b"one", b"four"]
        assert asked(speaker) == [1001, 1002]
        speaker.send(lost[1])
        (late,) = bench.heard(listener, 1)
        assert (late.payload, late.sequence) == (b"three", 102)
        requests = 1
        while requests < ASKS:  # every packet of the next half second is a chance to ask again
            speaker.say(SPOKEN, b"more")
            bench.settle()
            requests += asked(speaker).count(1001)
        for _ in range(5):
            speaker.say(SPOKEN, b"enough")
            bench.settle()
        assert asked(speaker) == []
        assert bench.engine.producer_stats(producer).asked_again == ASKS + 1

    def test_nobody_is_asked_who_did_not_negotiate_it_or_made_a_jump(self, bench: Bench) -> None:
        plain, jumping, listener = bench.client(), bench.client(), bench.client()
        bench.consumer(listener, bench.producer(plain, 1), 9001)
        bench.consumer(listener, bench.producer(jumping, 2, nack=True), 9002)
        for sequence in (1000, 1010):
            plain.say(1, b"opus", sequence=sequence)
            jumping.say(2, b"opus", sequence=100 * sequence)
        bench.heard(listener, 4)
        assert asked(plain) == asked(jumping) == []
