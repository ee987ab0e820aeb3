"""When tokens end: warned once, ended once, and nothing after a refresh or a disconnect."""

from typing import Any, cast

from realtime.expiry import WARNING_MS, Expiries
from realtime.sessions import Session, Sessions, User


class FakeSession:
    """As much of a session as the queue looks at."""

    def __init__(self, name: str, expires_at_ms: int) -> None:
        self.connection_id = name
        self.expires_at_ms = expires_at_ms
        self.user = User(name, cast(Any, None))


def queue_of(*sessions: FakeSession) -> tuple[Expiries, Sessions]:
    index = Sessions()
    queue = Expiries(index)
    for session in sessions:
        index.add(cast(Session, session))
        queue.watch(cast(Session, session))
    return queue, index


def due(queue: Expiries, now_ms: int) -> list[tuple[Any, str]]:
    return list(queue.due(now_ms))


def test_a_warning_and_then_the_end() -> None:
    session = FakeSession("a", 100_000)
    queue, _ = queue_of(session)
    assert queue.due(100_000 - WARNING_MS - 1) == []
    assert due(queue, 100_000 - WARNING_MS) == [(session, "warning")]
    assert queue.due(99_999) == []
    assert due(queue, 100_000) == [(session, "end")]
    assert queue.due(200_000) == []


def test_a_refresh_makes_the_old_moments_void() -> None:
    session = FakeSession("a", 100_000)
    queue, _ = queue_of(session)
    session.expires_at_ms = 500_000
    queue.watch(cast(Session, session))
    assert queue.due(400_000) == []
    assert due(queue, 500_000) == [(session, "warning"), (session, "end")]


def test_the_gone_are_forgotten() -> None:
    sessions = [FakeSession(str(number), 100_000 + number) for number in range(3000)]
    queue, index = queue_of(*sessions)
    for session in sessions[1:]:
        index.remove(cast(Session, session))
    queue.watch(cast(Session, sessions[0]))
    assert len(queue) == 4
    assert [found for found, what in due(queue, 200_000) if what == "end"] == [sessions[0], sessions[0]]
