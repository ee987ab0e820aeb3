"""How calls share their way to the server."""

import asyncio

from state.redis_connection import Connection, Pace


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))


def waits(pace: Pace, calls_per_second: int, start: float, seconds: float) -> list[float]:
    """Calls at even distances; those that come while a sending waits go with it."""
    found: list[float] = []
    waiting, leaves = 0, 0.0
    for number in range(int(calls_per_second * seconds)):
        now = start + number / calls_per_second
        if waiting and now >= leaves:
            pace.sent(waiting)
            waiting = 0
        if not waiting:
            found.append(pace.wait(now))
            leaves = now + found[-1]
        waiting += 1
    pace.sent(waiting)
    return found


def test_a_quiet_connection_waits_for_nothing() -> None:
    pace = Pace()
    assert set(waits(pace, 400, 1000.0, 2.0)) == {0.0}
    assert pace.wait(2000.0) == 0.0


def test_a_burst_alone_is_not_busy() -> None:
    pace = Pace()
    for second in range(1000, 1010):
        assert set(waits(pace, 10_000, float(second), 0.004)) == {0.0}


def test_a_busy_connection_waits_until_it_is_quiet_again() -> None:
    pace = Pace()
    assert waits(pace, 2000, 1000.0, 0.5)[-1] > 0
    assert 0.0 not in waits(pace, 2000, 1000.5, 2.0)
    assert waits(pace, 400, 1002.5, 0.5)[-1] == 0.0


def test_who_waits_for_each_answer_is_seldom_kept_waiting() -> None:
    """At most for one look back in ten, whatever the speed of the answers."""
    pace, now, kept = Pace(), 1000.0, 0.0
    while now < 1020.0:
        wait = pace.wait(now)
        pace.sent(1)
        kept += wait
        now += wait + 0.0005
    assert kept < 0.15 * 20


async def test_what_a_busy_connection_sends_goes_together_and_in_order() -> None:
    loop, wire = asyncio.get_running_loop(), Wire()
    connection = Connection(lambda _message: None)
    connection.connection_made(wire)
    sent: list[bytes] = []
    end = loop.time() + 0.5
    while loop.time() < end:
        sent.append(b"%d," % len(sent))
        connection.send(sent[-1])
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    assert b"".join(wire.writes) == b"".join(sent)
    late = [write for write in wire.writes if int(write.split(b",")[0]) > len(sent) // 2]
    assert sum(write.count(b",") for write in late) > 2 * len(late)


async def test_what_a_quiet_connection_sends_leaves_with_this_turn() -> None:
    wire = Wire()
    connection = Connection(lambda _message: None)
    connection.connection_made(wire)
    for word in (b"one", b"two"):
        connection.send(word)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert wire.writes == [b"onetwo"]
