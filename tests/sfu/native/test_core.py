"""What only this engine has: segmented sends, limits per source, windows that outlive a producer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from sfu.engine import EngineOptions, Suite
from sfu.native.engine import NativeEngine
from tests.sfu.bench import Bench, key

SPEAKERS = 6
SIZES = (100, 103, 90, 90, 120, 60)
STUN = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
_SO_NO_CHECK = 11


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench("native")
    yield made
    made.close()


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench whose engine has not started: what is sent waits in the socket until then."""
    with monkeypatch.context() as patch:
        patch.setattr(NativeEngine, "start", lambda self: None)
        made = Bench("native", options=EngineOptions(batch_packets=32))
    yield made
    made.close()


def core(bench: Bench) -> NativeEngine:
    assert isinstance(bench.engine, NativeEngine)
    return bench.engine


def speak_at_once(bench: Bench) -> dict[int, list[bytes]]:
    """Several speakers whose packets wait together; what one listener then hears of each."""
    listener = bench.client()
    speakers = [bench.client() for _ in range(SPEAKERS)]
    for number, speaker in enumerate(speakers):
        bench.consumer(listener, bench.producer(speaker, number), 60 + number)
    for size in SIZES:
        for number, speaker in enumerate(speakers):
            speaker.say(number, bytes([number]) * (size + number))
    bench.engine.start()
    heard = bench.heard(listener, SPEAKERS * len(SIZES))
    return {number: [p.payload for p in heard if p.ssrc == 60 + number] for number in range(SPEAKERS)}


EXPECTED = {number: [bytes([number]) * (size + number) for size in SIZES] for number in range(SPEAKERS)}


def test_packets_to_one_listener_leave_as_one_send_and_in_order(waiting: Bench) -> None:
    assert speak_at_once(waiting) == EXPECTED
    told = core(waiting).sending()
    assert told.segmentation
    assert told.segmented_sends >= 3
    assert told.send_calls < SPEAKERS * len(SIZES) / 2


def test_where_the_kernel_refuses_segments_they_leave_one_by_one(waiting: Bench) -> None:
    waiting.sock.setsockopt(socket.SOL_SOCKET, _SO_NO_CHECK, 1)  # without checksums Linux does not segment
    assert speak_at_once(waiting) == EXPECTED
    assert not core(waiting).sending().segmentation
    assert waiting.engine.stats().send_failures == 0


def test_a_producer_that_comes_back_does_not_take_its_old_packets_again(bench: Bench) -> None:
    speaker, listener = bench.client(), bench.client()
    producer = bench.producer(speaker, 7)
    old = speaker.packet(7, b"old")
    speaker.send(old)
    bench.until(lambda: bench.engine.producer_stats(producer).packets == 1)
    bench.engine.remove_producer(producer)
    bench.consumer(listener, bench.producer(speaker, 7))
    speaker.send(old)
    bench.silent(listener)
    speaker.say(7, b"new")
    assert bench.heard(listener, 1)[0].payload == b"new"


def test_a_removed_consumer_does_not_give_its_ssrc_back(bench: Bench) -> None:
    listener = bench.client()
    bench.engine.remove_consumer(bench.consumer(listener, None, 5))
    with pytest.raises(ValueError, match="SSRC"):
        bench.consumer(listener, None, 5)


def test_one_source_cannot_fill_the_queue_of_the_worker(bench: Bench) -> None:
    flood, other = bench.client(), bench.client()
    for _ in range(1000):
        flood.send(STUN)
    other.send(STUN)
    bench.settle()
    assert (STUN, other.address) in bench.control
    assert 200 <= len(bench.control) <= 300
    stats = bench.engine.stats()
    assert stats.control_dropped == 1001 - len(bench.control)


def test_a_worker_that_does_not_read_costs_a_bounded_queue() -> None:
    bench = Bench("native", options=EngineOptions(control_backlog=5))
    clients = [bench.client() for _ in range(8)]
    for client in clients:
        client.send(STUN)
    deadline = time.monotonic() + 5
    while bench.engine.stats().packets_received < 8:  # without draining
        assert time.monotonic() < deadline
    bench.settle()
    assert len(bench.control) == 5
    assert bench.engine.stats().control_dropped == 3
    bench.close()


def test_keys_are_set_once_and_must_fit(bench: Bench) -> None:
    suite = Suite.AEAD_AES_256_GCM
    transport = bench.engine.add_transport()
    with pytest.raises(ValueError, match="no keys"):
        bench.engine.set_keys(transport, suite, b"short", b"short")
    bench.engine.set_keys(transport, suite, key(suite, 1), key(suite, 2))
    with pytest.raises(ValueError, match="once"):
        bench.engine.set_keys(transport, suite, key(suite, 1), key(suite, 2))


def test_handles_are_never_given_twice(bench: Bench) -> None:
    engine = bench.engine
    seen: set[int] = set()
    for _ in range(100):
        transport, slot = engine.add_transport(), engine.add_slot()
        assert not seen & {transport, slot}
        seen |= {transport, slot}
        engine.remove_transport(transport)
        engine.remove_slot(slot)
    with pytest.raises(KeyError):
        engine.set_slot(min(seen), None)
    with pytest.raises(KeyError):
        engine.transport_stats(max(seen))


def test_a_closed_engine_says_so(bench: Bench) -> None:
    bench.engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        bench.engine.add_transport()
    with pytest.raises(RuntimeError, match="start"):
        bench.engine.start()
