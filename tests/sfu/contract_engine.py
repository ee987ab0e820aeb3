"""What every engine must do, whoever wrote it. Collected by test_python_engine and test_native_engine."""

from __future__ import annotations

import itertools
import random
import socket

import pytest

from sfu import rtp
from sfu.engine import SILENCE_FRAMES, SILENCE_PAYLOAD, Suite
from tests.sfu.bench import LEVEL_ID, MID_ID, OPUS, Bench, Client

SPOKEN = 7
SUITES = [Suite.AEAD_AES_128_GCM, Suite.AEAD_AES_256_GCM, Suite.AES_CM_128_SHA1_80, Suite.PLAIN]


def numbers(packets: list[rtp.Packet]) -> list[int]:
    return [packet.sequence for packet in packets]


class EngineContract:
    """Subclasses give a `bench` fixture."""

    # --- the way through ---------------------------------------------------------------------------------
    @pytest.mark.parametrize("suite", SUITES)
    def test_payloads_arrive_bit_exact_and_in_order(self, bench: Bench, suite: Suite) -> None:
        speaker, listener = bench.client(suite), bench.client(suite)
        producer = bench.producer(speaker, SPOKEN)
        bench.consumer(listener, producer)
        payloads = [bytes([n]) * (40 + n) for n in range(20)]
        for payload in payloads:
            speaker.say(SPOKEN, payload)
        packets = bench.heard(listener, 20)
        assert [packet.payload for packet in packets] == payloads
        assert numbers(packets) == list(range(100, 120))
        assert [packet.timestamp for packet in packets] == [7000 + 960 * n for n in range(20)]
        assert {(packet.ssrc, packet.payload_type) for packet in packets} == {(9001, OPUS)}
        assert packets[0].marker
        assert packets[0].extensions == {LEVEL_ID: bytes([30])}

    def test_extension_ids_are_those_of_the_listener(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, SPOKEN)
        bench.consumer(listener, producer, 1, level_id=0)
        bench.consumer(listener, producer, 2, level_id=9, mid_id=MID_ID, mid=b"12")
        bench.consumer(listener, producer, 3, level_id=20)
        speaker.say(SPOKEN, b"opus", level=0x80 | 25)
        found = {packet.ssrc: packet.extensions for packet in bench.heard(listener, 3)}
        assert found == {1: {}, 2: {9: bytes([0x80 | 25]), MID_ID: b"12"}, 3: {20: bytes([0x80 | 25])}}

    def test_a_loss_on_the_way_in_stays_a_gap_and_late_packets_keep_their_place(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        bench.consumer(listener, bench.producer(speaker, SPOKEN))
        for sequence in (10, 11, 14, 13, 16):
            speaker.say(SPOKEN, bytes([sequence]), sequence=sequence, timestamp=960 * sequence)
        packets = bench.heard(listener, 5)
        assert numbers(packets) == [100, 101, 104, 103, 106]
        assert [packet.payload[0] for packet in packets] == [10, 11, 14, 13, 16]

    def test_sequence_numbers_of_both_sides_roll_over(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        bench.consumer(listener, bench.producer(speaker, SPOKEN), first_sequence=0x7FFE)
        expected = []
        for step in range(0, 0x18000, 0x1800):
            sequence = 0x7FF0 + step
            speaker.say(SPOKEN, b"roll", sequence=sequence, timestamp=step)
            expected.append((0x7FFE + step) & 0xFFFF)
            bench.settle()
        assert numbers(bench.heard(listener, len(expected))) == expected

    def test_a_replayed_or_forged_packet_goes_nowhere(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        bench.consumer(listener, bench.producer(speaker, SPOKEN))
        data = speaker.packet(SPOKEN, b"once")
        speaker.send(data)
        speaker.send(data)
        speaker.send(data[:-1] + bytes([data[-1] ^ 1]))
        assert len(bench.heard(listener, 1)) == 1
        assert bench.engine.transport_stats(speaker.handle).unprotect_failures == 2

    def test_nobody_hears_itself(self, bench: Bench) -> None:
        one, other = bench.client(), bench.client()
        producer = bench.producer(one, SPOKEN)
        slot = bench.engine.add_slot()
        bench.consumer(one, producer, 1)
        bench.consumer(one, slot, 2)
        bench.consumer(other, slot, 3)
        bench.engine.set_slot(slot, producer)
        one.say(SPOKEN, b"echo")
        assert bench.heard(other, 1)[0].payload == b"echo"
        bench.silent(one)

    def test_two_speakers_are_never_mixed_up(self, bench: Bench) -> None:
        listener = bench.client()
        speakers = [bench.client() for _ in range(3)]
        for number, speaker in enumerate(speakers):
            bench.consumer(listener, bench.producer(speaker, SPOKEN), 50 + number)
        for turn in range(30):
            for number, speaker in enumerate(speakers):
                speaker.say(SPOKEN, bytes([number, turn]))
        packets = bench.heard(listener, 90)
        for number in range(3):
            own = [packet.payload for packet in packets if packet.ssrc == 50 + number]
            assert own == [bytes([number, turn]) for turn in range(30)]

    def test_a_bad_network_on_the_way_in_adds_no_loss_of_ours(self, bench: Bench) -> None:
        """10 % lost, 5 % late by some packets, three speakers: what arrives leaves, bit-exact, in place."""
        chance = random.Random(6)
        listener = bench.client()
        speakers = [bench.client() for _ in range(3)]
        line: list[tuple[float, Client, bytes]] = []
        sent: dict[int, dict[int, bytes]] = {}
        for number, speaker in enumerate(speakers):
            producer = bench.producer(speaker, SPOKEN, packets_per_second=10_000)
            bench.consumer(listener, producer, 50 + number, first_sequence=0)
            sent[50 + number] = {}
            for turn in range(200):
                payload = bytes([number, turn]) + chance.randbytes(chance.randrange(1, 150))
                data = speaker.packet(SPOKEN, payload)
                if turn and chance.random() < 0.1:
                    continue
                sent[50 + number][turn] = payload
                late = chance.uniform(0.5, 6) if turn and chance.random() < 0.05 else 0
                line.append((turn + chance.random() * 0.4 + late, speaker, data))
        packets: list[rtp.Packet] = []
        for count, (_, speaker, data) in enumerate(sorted(line, key=lambda entry: entry[0])):
            speaker.send(data)
            if count % 16 == 0:
                bench.pump(0.02)
                packets += listener.received()
        bench.settle()
        packets += listener.received()
        found: dict[int, dict[int, bytes]] = {ssrc: {} for ssrc in sent}
        for packet in packets:
            assert packet.sequence not in found[packet.ssrc]
            found[packet.ssrc][packet.sequence] = packet.payload
        assert found == sent

    # --- who may speak -----------------------------------------------------------------------------------
    def test_a_new_producer_may_not_speak(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, SPOKEN, allowed=False)
        bench.consumer(listener, producer)
        speaker.say(SPOKEN, b"secret")
        bench.silent(listener)
        assert bench.engine.producer_stats(producer).refused == 1
        assert bench.engine.levels() == []

    def test_a_mute_is_silent_at_once_and_leaves_no_gap(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, SPOKEN)
        bench.consumer(listener, producer)
        speaker.say(SPOKEN, b"one")
        bench.heard(listener, 1)
        bench.engine.set_speaking_right(producer, False)
        silence = bench.heard(listener, SILENCE_FRAMES)
        assert {packet.payload for packet in silence} == {SILENCE_PAYLOAD}
        for _ in range(10):
            speaker.say(SPOKEN, b"secret")
        bench.silent(listener)
        bench.engine.set_speaking_right(producer, True)
        speaker.say(SPOKEN, b"two")
        packets = bench.heard(listener, 1)
        assert packets[0].payload == b"two"
        assert numbers(silence + packets) == list(range(101, 102 + SILENCE_FRAMES))
        assert packets[0].marker
        assert packets[0].timestamp == 7000 + 11 * 960

    def test_a_packet_from_before_the_mute_is_not_heard_after_it(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, SPOKEN)
        bench.consumer(listener, producer)
        late = speaker.packet(SPOKEN, b"late")
        speaker.say(SPOKEN, b"one")
        bench.heard(listener, 1)
        bench.engine.set_speaking_right(producer, False)
        bench.engine.set_speaking_right(producer, True)
        bench.heard(listener, SILENCE_FRAMES)
        speaker.say(SPOKEN, b"two")
        bench.heard(listener, 1)
        speaker.send(late)
        bench.silent(listener)

    def test_a_flood_is_held_to_the_rate(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, SPOKEN, packets_per_second=20)
        bench.consumer(listener, producer)
        for _ in range(100):
            speaker.say(SPOKEN, b"flood")
        bench.settle()
        assert 20 <= len(listener.received()) <= 30
        assert bench.engine.producer_stats(producer).over_limit >= 70

    def test_a_frame_over_the_size_limit_is_dropped(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        bench.consumer(listener, bench.producer(speaker, SPOKEN))
        speaker.say(SPOKEN, bytes(1300))
        speaker.say(SPOKEN, bytes(1276))
        assert len(bench.heard(listener, 1)[0].payload) == 1276

    def test_other_payload_types_and_unknown_streams_are_dropped(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        bench.consumer(listener, bench.producer(speaker, SPOKEN))
        speaker.say(SPOKEN, b"x", payload_type=96)
        speaker.say(8, b"x")
        bench.silent(listener)
        assert bench.engine.transport_stats(speaker.handle).unknown_ssrc == 1

    def test_an_unsignalled_stream_is_learned(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, None)
        bench.consumer(listener, producer)
        speaker.say(4242, b"who")
        assert bench.heard(listener, 1)[0].payload == b"who"
        assert bench.engine.producer_stats(producer).ssrc == 4242

    # --- slots ------------------------------------------------------------------------------------------
    def test_a_change_of_speaker_is_continuous(self, bench: Bench) -> None:
        one, two, listener = bench.client(), bench.client(), bench.client()
        first, second = bench.producer(one, 1), bench.producer(two, 2)
        slot = bench.engine.add_slot()
        bench.consumer(listener, slot)
        bench.engine.set_slot(slot, first)
        packets: list[rtp.Packet] = []
        for turn in range(6):
            client, producer, ssrc = (one, first, 1) if turn % 2 == 0 else (two, second, 2)
            bench.engine.set_slot(slot, producer)
            for _ in range(3):
                client.say(ssrc, bytes([turn]), level=100)
            packets += bench.heard(listener, 3)
        assert [packet.payload[0] for packet in packets] == [turn for turn in range(6) for _ in range(3)]
        assert numbers(packets) == list(range(100, 118))
        steps = [b.timestamp - a.timestamp for a, b in itertools.pairwise(packets)]
        assert all(0 < step < 48_000 and step % 960 == 0 for step in steps)
        assert [packet.marker for packet in packets] == [True, False, False] * 6

    def test_a_packet_from_before_the_change_is_dropped(self, bench: Bench) -> None:
        one, two, listener = bench.client(), bench.client(), bench.client()
        first, second = bench.producer(one, 1), bench.producer(two, 2)
        slot = bench.engine.add_slot()
        bench.consumer(listener, slot)
        bench.engine.set_slot(slot, first)
        late = one.packet(1, b"late", level=100)
        one.say(1, b"now", level=100)
        bench.heard(listener, 1)
        bench.engine.set_slot(slot, second)
        two.say(2, b"then", level=100)
        bench.heard(listener, 1)
        bench.engine.set_slot(slot, first)
        one.say(1, b"again", level=100)
        bench.settle()
        one.send(late)
        assert [packet.payload for packet in bench.heard(listener, 1)] == [b"again"]

    def test_the_first_syllable_is_replayed(self, bench: Bench) -> None:
        one, listener = bench.client(), bench.client()
        producer = bench.producer(one, 1)
        slot = bench.engine.add_slot()
        bench.consumer(listener, slot)
        for level in (90, 90, 30, 20):
            one.say(1, bytes([level]), level=level)
        bench.until(lambda: bench.engine.stats().packets_received == 4)
        bench.engine.set_slot(slot, producer)
        one.say(1, b"next")
        packets = bench.heard(listener, 3)
        assert [packet.payload for packet in packets] == [bytes([30]), bytes([20]), b"next"]
        assert numbers(packets) == [100, 101, 102]

    def test_a_removed_speaker_leaves_its_slot_empty(self, bench: Bench) -> None:
        one, listener = bench.client(), bench.client()
        producer = bench.producer(one, 1)
        slot = bench.engine.add_slot()
        bench.consumer(listener, slot)
        bench.engine.set_slot(slot, producer)
        one.say(1, b"here", level=100)
        bench.heard(listener, 1)
        bench.engine.remove_transport(one.handle)
        one.say(1, b"gone", level=100)
        bench.silent(listener)
        bench.engine.remove_slot(slot)
        bench.engine.remove_slot(slot)

    # --- consumers --------------------------------------------------------------------------------------
    def test_a_pause_leaves_no_gap(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        consumer = bench.consumer(listener, bench.producer(speaker, SPOKEN))
        speaker.say(SPOKEN, b"a")
        packets = bench.heard(listener, 1)
        bench.engine.set_paused(consumer, True)
        for _ in range(4):
            speaker.say(SPOKEN, b"unheard")
        bench.silent(listener)
        bench.engine.set_paused(consumer, False)
        speaker.say(SPOKEN, b"b")
        packets += bench.heard(listener, 1)
        assert numbers(packets) == [100, 101]
        assert packets[1].timestamp - packets[0].timestamp == 5 * 960
        assert bench.engine.consumer_stats(consumer).packets == 2

    def test_a_listener_changes_what_it_follows(self, bench: Bench) -> None:
        one, two, listener = bench.client(), bench.client(), bench.client()
        first, second = bench.producer(one, 1), bench.producer(two, 2)
        consumer = bench.consumer(listener, first)
        one.say(1, b"a", level=100)
        packets = bench.heard(listener, 1)
        bench.engine.follow(consumer, second)
        two.say(2, b"b", level=100)
        packets += bench.heard(listener, 1)
        bench.engine.follow(consumer, None)
        two.say(2, b"c", level=100)
        bench.silent(listener)
        assert numbers(packets) == [100, 101]

    def test_nothing_is_sent_before_there_is_an_address(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client(select_now=False)
        bench.consumer(listener, bench.producer(speaker, SPOKEN))
        speaker.say(SPOKEN, b"early")
        bench.silent(listener)
        bench.engine.select_address(listener.handle, listener.address)
        speaker.say(SPOKEN, b"now")
        packets = bench.heard(listener, 1)
        assert (packets[0].payload, packets[0].sequence, packets[0].timestamp) == (b"now", 100, 7000)

    def test_an_ssrc_is_given_once_per_transport(self, bench: Bench) -> None:
        client = bench.client()
        bench.consumer(client, None, 5)
        with pytest.raises(ValueError, match="SSRC"):
            bench.consumer(client, None, 5)
        bench.producer(client, 6)
        with pytest.raises(ValueError, match="SSRC"):
            bench.producer(client, 6)

    # --- RED --------------------------------------------------------------------------------------------
    def test_red_passes_to_those_who_know_it_and_is_stripped_for_others(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        producer = bench.producer(speaker, SPOKEN, red_payload_type=63)
        bench.consumer(listener, producer, 1)
        bench.consumer(listener, producer, 2, red_payload_type=100)
        speaker.say(SPOKEN, rtp.red_payload([(0, 960, b"before"), (0, 0, b"now")], OPUS), payload_type=63)
        speaker.say(SPOKEN, b"plain")
        packets = bench.heard(listener, 4)
        assert [p.payload for p in packets if p.ssrc == 1] == [b"now", b"plain"]
        through = [p for p in packets if p.ssrc == 2]
        assert rtp.red_blocks(through[0].payload) == [(OPUS, 960, b"before"), (OPUS, 0, b"now")]
        assert [p.payload_type for p in through] == [100, OPUS]

    # --- the border -------------------------------------------------------------------------------------
    def test_only_stun_and_known_dtls_reach_the_worker(self, bench: Bench) -> None:
        known = bench.client()
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.bind(("127.0.0.1", 0))
        stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
        dtls = b"\x16\xfe\xff" + bytes(20)
        for data in (b"", stun, stun[:19], b"\x00\x01" + bytes(30), dtls, b"\x80" * 30, b"\xff", bytes(1600)):
            stranger.sendto(data, bench.address)
        known.send(dtls)
        bench.settle()
        assert sorted(bench.control) == sorted([(stun, stranger.getsockname()[:2]), (dtls, known.address)])
        stats = bench.engine.stats()
        assert (stats.empty, stats.oversized) == (1, 1)
        assert stats.foreign == 5
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(1)
        stranger.close()

    def test_an_address_has_one_owner(self, bench: Bench) -> None:
        one, two, listener = bench.client(), bench.client(), bench.client()
        bench.consumer(listener, bench.producer(one, 1))
        bench.engine.add_address(two.handle, one.address)
        one.say(1, b"stolen")
        bench.silent(listener)
        bench.engine.add_address(one.handle, one.address)
        one.say(1, b"back")
        assert bench.heard(listener, 1)[0].payload == b"back"
        bench.engine.remove_address(one.handle, one.address)
        one.say(1, b"away")
        bench.silent(listener)

    def test_a_stream_connection_gets_and_gives_packets(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client(select_now=False)
        bench.engine.add_address(listener.handle, ("", 5))
        bench.engine.select_address(listener.handle, ("", 5))
        bench.consumer(listener, bench.producer(speaker, SPOKEN))
        bench.consumer(speaker, bench.producer(listener, 8), 70)
        speaker.say(SPOKEN, b"out")
        bench.until(lambda: any(address == ("", 5) for _, address in bench.control))
        data = next(data for data, address in bench.control if address == ("", 5))
        assert listener.receiving is not None
        packet = rtp.parse(listener.receiving.unprotect(data))
        assert packet is not None
        assert packet.payload == b"out"
        bench.engine.inject(listener.packet(8, b"in"), ("", 5), 1.0)
        assert bench.heard(speaker, 1)[0].payload == b"in"

    def test_malformed_packets_are_counted_and_harm_nobody(self, bench: Bench) -> None:
        speaker, listener = bench.client(), bench.client()
        bench.consumer(listener, bench.producer(speaker, SPOKEN))
        header = rtp.HEADER.pack(0x90, OPUS, 1, 1, SPOKEN)
        tails = (
            b"\xbe\xde\x00\x09",
            b"\xbe\xde\x00\x01\x1f\x00\x00\x00",
            b"\x10\x00\x00\x01\x01\xff\x00\x00",
        )
        for tail in tails:
            data = header + tail
            speaker.send(speaker.protect(data) if len(data) > 16 else data)
            header = header[:3] + bytes([header[3] + 1]) + header[4:]
        speaker.send(b"\x80\xc8\x00")
        speaker.say(SPOKEN, b"fine", sequence=500)
        assert [packet.payload for packet in bench.heard(listener, 1)] == [b"fine"]

    def test_levels_are_told_once(self, bench: Bench) -> None:
        speaker = bench.client()
        producer = bench.producer(speaker, SPOKEN)
        for level in (40, 20, 0x80 | 30):
            speaker.say(SPOKEN, b"x", level=level)
        bench.settle()
        levels = bench.engine.levels()
        assert [(v.producer, v.packets, v.loudest, v.mean) for v in levels] == [(producer, 3, 20, 30)]
        assert bench.engine.levels() == []

    def test_closing_twice_and_removing_twice_are_harmless(self, bench: Bench) -> None:
        client = bench.client()
        producer = bench.producer(client, 1)
        consumer = bench.consumer(client, None)
        for _ in range(2):
            bench.engine.remove_consumer(consumer)
            bench.engine.remove_producer(producer)
            bench.engine.remove_transport(client.handle)
            bench.engine.close()
