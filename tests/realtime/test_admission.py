"""Token buckets: what passes, when the rest may, and who is thrown out."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.admission import (
    Addresses,
    Admission,
    Bucket,
    Rate,
    Rates,
    take_all,
)

WIDE = Rate(1000, 1000)


def rates(**narrow: Rate) -> Rates:
    names = Rates.__struct_fields__
    return Rates(**{name: narrow.get(name, WIDE) for name in names})


def test_a_burst_passes_and_the_rest_waits_for_the_refill() -> None:
    bucket = Bucket(Rate(10, 3), 0)
    assert [bucket.take(1, 0) for _ in range(4)] == [0, 0, 0, 100]
    assert bucket.take(1, 99) > 0
    assert bucket.take(1, 100) == 0


def test_a_cost_beyond_the_burst_passes_when_the_bucket_is_full() -> None:
    bucket = Bucket(Rate(10, 3), 0)
    assert bucket.take(5, 0) == 0
    assert bucket.take(1, 200) > 0, "the debt is paid back first"
    assert bucket.take(1, 300) == 0


def test_a_clock_that_steps_back_gives_nothing_for_free() -> None:
    bucket = Bucket(Rate(10, 1), 1000)
    assert bucket.take(1, 1000) == 0
    assert bucket.take(1, 0) > 0
    assert bucket.take(1, 1100) == 0


@given(st.lists(st.integers(0, 500), max_size=200), st.integers(1, 50), st.integers(1, 20))
def test_never_more_than_burst_and_rate_allow(steps: list[int], per_second: int, burst: int) -> None:
    bucket, now, passed = Bucket(Rate(per_second, burst), 0), 0, 0
    for step in steps:
        now += step
        passed += bucket.take(1, now) == 0
    assert passed <= burst + now * per_second / 1000 + 1e-6


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 40))
def test_the_wait_is_exact(per_second: int, burst: int, taken: int) -> None:
    bucket = Bucket(Rate(per_second, burst), 0)
    wait = 0.0
    for _ in range(taken):
        wait = bucket.take(1, 0)
    if wait:
        assert bucket.wait_ms(1, wait * 0.99) > 0
        assert bucket.wait_ms(1, wait + 1e-6) == 0


def test_take_all_charges_every_bucket_or_none() -> None:
    wide, narrow = Bucket(Rate(1, 10), 0), Bucket(Rate(1, 1), 0)
    assert take_all([wide, narrow], 1, 0) == 0
    assert take_all([wide, narrow], 1, 0) == 1000
    assert wide.tokens == 9


def test_each_scope_limits_commands() -> None:
    for scope in ("connection", "user", "room", "node"):
        admission = Admission(rates(**{f"{scope}_events": Rate(1, 1)}), 0)
        own = admission.connection(0), admission.user(0), admission.room(0)
        assert admission.command(*own, "event", 0) == 0
        assert admission.command(*own, "event", 0) == 1000, scope


def test_chat_and_joins_have_their_own_limits() -> None:
    admission = Admission(rates(room_chat=Rate(1, 1), node_joins=Rate(1, 1)), 0)
    own = admission.connection(0), admission.user(0), admission.room(0)
    for kind in ("chat", "join"):
        assert admission.command(*own, kind, 0) == 0
        assert admission.command(*own, kind, 0) == 1000
    assert admission.command(*own, "event", 0) == 0


def test_strikes_are_forgiven_with_time() -> None:
    admission = Admission(rates(strikes=Rate(1, 2)), 0)
    allowance = admission.connection(0)
    assert [allowance.struck_out(0) for _ in range(3)] == [False, False, True]
    assert not allowance.struck_out(1000)


def addresses(together: int, rate: Rate, exempt: list[str]) -> tuple[Addresses, list[float]]:
    clock = [0.0]
    return Addresses(together, rate, exempt, lambda: clock[0]), clock


def test_an_address_has_so_many_connections_and_no_more() -> None:
    gate, _ = addresses(2, WIDE, [])
    assert [gate.open("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert gate.open("192.0.2.2")
    gate.close("192.0.2.1")
    assert gate.open("192.0.2.1")


def test_an_address_opens_so_many_per_second() -> None:
    gate, clock = addresses(100, Rate(2, 2), [])
    assert [gate.open("192.0.2.1") for _ in range(3)] == [True, True, False]
    clock[0] = 500
    assert gate.open("192.0.2.1")


def test_exempt_networks_are_not_counted() -> None:
    gate, _ = addresses(1, Rate(1, 1), ["127.0.0.0/8", "::1/128"])
    for address in ("127.0.0.1", "::1"):
        assert all(gate.open(address) for _ in range(5))
        gate.close(address)
    assert not gate.is_exempt("not an address")


def test_many_addresses_do_not_stay_in_memory() -> None:
    gate, clock = addresses(1, Rate(1000, 1), [])
    for number in range(60_000):
        name = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        clock[0] = number
        assert gate.open(name)
        gate.close(name)
    assert len(gate._buckets) < 50_010
    assert not gate._open
