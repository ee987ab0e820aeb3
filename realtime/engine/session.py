"""One Engine.IO session: its transport of the moment, its output and its deadlines.

`session.write(wire)` is a plain call whose target is swapped with the state: the transport's own `write`
while a WebSocket is open and takes everything, a bounded buffer while the client polls or upgrades, a held
list while its CONNECT is being decided, a size check while the transport keeps what the kernel did not take,
nothing when it is closed. So the fan-out loop has no branch, no queue and no task per member. While `write`
is the transport's own, `line` is its socket, to which others may send past the transport. `healthy` tells
whether droppable traffic may go too.

A consumer that is behind by `hard_buffer_bytes`, or by more than `soft_buffer_bytes` for `slow_seconds`, is
dropped; it may come back and recover.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from realtime.engine import framing
from realtime.engine.corks import Corks
from realtime.engine.limits import Limits
from realtime.engine.lines import NO_LINE
from realtime.engine.parser import NORMAL
from realtime.engine.reasons import BadPacket, Reason
from realtime.engine.wheel import Wheel

# ENDING: over for the layer above, kept only until the client polls its last packets
POLLING, PROBING, OPEN, ENDING, CLOSED = range(5)
PING = framing.frame(framing.TEXT, b"2")
CLOSE_PACKET, NOOP_PACKET = b"1", b"6"
RECOVERED = 4  # a client that was behind by the soft limit is well again at this fraction of it


class Consumer(Protocol):
    """The layer above: what comes in, in the order of its arrival."""

    def on_open(self, session: Session) -> None: ...
    def on_message(self, session: Session, data: str | bytes) -> None:
        """May raise BadPacket, which closes the session."""
        ...

    def on_close(self, session: Session, reason: str) -> None: ...


class Owner(Protocol):
    """The engine, as its sessions see it."""

    limits: Limits
    wheel: Wheel
    corks: Corks
    consumer: Consumer

    def forget(self, session: Session, reason: str) -> None:
        """The session has closed."""
        ...


class Carrier(Protocol):
    """The WebSocket connection of a session, as that sees it."""

    session: Session | None
    transport: asyncio.Transport | None
    line: int
    behind: bool  # the transport keeps what the kernel did not take

    def continue_reading(self) -> None: ...
    def close(self, code: int) -> None: ...
    def abort(self) -> None: ...


def drop(wire: bytes) -> None:
    """`write` of a closed session."""


class Session:
    __slots__ = (
        "_closing_soon",
        "_connect_by",
        "_corked",
        "_idle_pongs",
        "_ping_at",
        "_pong_by",
        "_slow_by",
        "address",
        "consumer",
        "direct",
        "engine",
        "environ",
        "healthy",
        "held",
        "line",
        "link",
        "pending",
        "pending_bytes",
        "poll",
        "posting",
        "reading_paused",
        "resumed",
        "session",
        "sid",
        "slot",
        "state",
        "write",
    )

    def __init__(self, engine: Owner, sid: str, address: str, environ: dict[str, Any]) -> None:
        self.engine, self.sid, self.address, self.environ = engine, sid, address, environ
        self.state = POLLING
        self.link: Carrier | None = None
        self.pending: list[bytes] = []
        self.pending_bytes = 0
        self.poll: asyncio.Future[None] | None = None  # the GET that waits for something to send
        self.posting = False
        self.held: list[bytes] | None = None
        self.healthy = True
        self.direct = False  # `write` is the transport's own
        self.line = NO_LINE
        self._corked: list[bytes] | None = None
        self.write: Callable[[bytes], None] = self._write_pending
        self.reading_paused = False
        self.resumed: asyncio.Future[None] | None = None
        self.consumer: Any = None  # what the layer above keeps for this session
        self.session: dict[str, Any] | None = None  # the user session of python-socketio's interface
        self._closing_soon = False
        limits, now = engine.limits, engine.wheel.now()
        self._ping_at = now + limits.ping_interval_seconds
        self._connect_by = now + limits.connect_timeout_seconds if limits.connect_timeout_seconds else 0.0
        self._pong_by = self._slow_by = 0.0
        self._idle_pongs = 0
        self.slot = -1
        engine.wheel.add(self, self._deadline())

    @property
    def closed(self) -> bool:
        return self.state >= ENDING

    @property
    def upgraded(self) -> bool:
        return self.state == OPEN

    # Output.

    def opened(self) -> None:
        """The WebSocket is the transport from now on."""
        assert self.link is not None
        assert self.link.transport is not None
        self.state, pending, self.pending = OPEN, self.pending, []
        self.pending_bytes = 0
        if pending:
            self.link.transport.write(b"".join(pending))
        self.choose_write()

    def choose_write(self) -> None:
        self.direct, self.line = False, NO_LINE
        link = self.link
        if self.state >= ENDING:
            self.write, self.healthy = drop, False
        elif self.held is not None:
            self.write = self._write_held
        elif self.state != OPEN:
            self.write = self._write_pending
            self.healthy = self.pending_bytes < self.engine.limits.soft_buffer_bytes
        else:
            assert link is not None
            assert link.transport is not None
            self.direct, self.healthy = not link.behind, not self._slow_by
            self.write = self._write_behind
            if self.direct:
                self.write, self.line = link.transport.write, link.line

    def post(self, wire: bytes) -> None:
        """As `write`, for what concerns this client alone: joined with the rest of this tick."""
        if self.direct:
            self.direct, self.line = False, NO_LINE
            self._corked = [wire]
            self.write = self._corked.append
            self.engine.corks.add(self)
        else:
            self.write(wire)

    def uncork(self) -> None:
        corked, self._corked = self._corked, None
        if corked is not None:
            self.choose_write()
            self.write(corked[0] if len(corked) == 1 else b"".join(corked))

    def _write_pending(self, wire: bytes) -> None:
        self.pending_bytes += len(wire)
        limits = self.engine.limits
        if self.pending_bytes > limits.soft_buffer_bytes:
            self.healthy = False
            if self.pending_bytes > limits.hard_buffer_bytes:
                self._close_soon(Reason.SLOW_CONSUMER)
                return
        self.pending.append(wire)
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(None)

    def _write_behind(self, wire: bytes) -> None:
        assert self.link is not None
        assert self.link.transport is not None
        transport = self.link.transport
        waiting = transport.get_write_buffer_size() + len(wire)
        if waiting > self.engine.limits.hard_buffer_bytes:
            self._close_soon(Reason.SLOW_CONSUMER)
        else:
            transport.write(wire)
            self._weigh(waiting)

    def _write_held(self, wire: bytes) -> None:
        assert self.held is not None
        self.held.append(wire)
        if len(self.held) > self.engine.limits.held_packets:
            self._close_soon(Reason.SLOW_CONSUMER)

    def _close_soon(self, reason: str) -> None:
        """Not at once: this may be called from the middle of a fan-out."""
        self.write, self.healthy = drop, False
        if not self._closing_soon:
            self._closing_soon = True
            asyncio.get_running_loop().call_soon(self.abort, reason)

    def hold(self) -> None:
        """Keep back everything written from now on."""
        self.uncork()
        self.held = []
        self.choose_write()

    def release(self, first: bytes) -> None:
        """Write `first`, then what was held back, as one write."""
        held, self.held = self.held or [], None
        self.choose_write()
        self.write(b"".join([first, *held]))

    def fall_behind(self) -> None:
        """The transport has begun to keep what the kernel does not take."""
        if self.state == OPEN:
            self._weigh_transport()
            self.rechoose()

    def catch_up(self) -> None:
        """The transport keeps nothing any more."""
        self._slow_by = 0.0
        if self.state == OPEN:
            self.rechoose()

    def _weigh_transport(self) -> None:
        assert self.link is not None
        assert self.link.transport is not None
        self._weigh(self.link.transport.get_write_buffer_size())

    def _weigh(self, waiting: int) -> None:
        """Too much to go on like this, or little enough again?"""
        soft = self.engine.limits.soft_buffer_bytes
        if waiting > soft and not self._slow_by:
            self._slow_by, self.healthy = self.engine.wheel.now() + self.engine.limits.slow_seconds, False
            self.engine.wheel.move(self, self._deadline())
        elif waiting <= soft // RECOVERED and self._slow_by:
            self._slow_by, self.healthy = 0.0, True

    def rechoose(self) -> None:
        """The transport has changed; what is corked stays so until the end of the tick."""
        if self._corked is None:
            self.choose_write()
        else:
            self.healthy = not self._slow_by

    def take_payload(self) -> bytes:
        """Everything that waits, as the body of a polling response."""
        wires, self.pending, self.pending_bytes = self.pending, [], 0
        self.choose_write()
        return framing.polling_payload(wires) or NOOP_PACKET

    # Input that outruns its consumer.

    def pause_reading(self) -> None:
        """WebSocket reads stop; a POST waits."""
        if not self.reading_paused:
            self.reading_paused = True
            if self.link is not None and self.link.transport is not None:
                self.link.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.reading_paused:
            return
        self.reading_paused = False
        if self.resumed is not None and not self.resumed.done():
            self.resumed.set_result(None)
        if self.link is not None:
            self.link.continue_reading()

    # Time.

    def connected(self) -> None:
        """The layer above knows this client now: it need no longer hurry."""
        self._connect_by = 0.0

    def expect_connect(self) -> None:
        """The layer above has nobody left here."""
        if self.engine.limits.connect_timeout_seconds and self.state < ENDING:
            self._connect_by = self.engine.wheel.now() + self.engine.limits.connect_timeout_seconds
            self.engine.wheel.move(self, self._deadline())

    def pong(self) -> None:
        if not self._pong_by:
            self._idle_pongs += 1
            if self._idle_pongs > self.engine.limits.control_frames:
                raise BadPacket("pongs that nobody asked for")
        else:
            self._pong_by, self._idle_pongs = 0.0, 0
            self._ping_at = self.engine.wheel.now() + self.engine.limits.ping_interval_seconds

    def _deadline(self) -> float:
        deadline = self._pong_by or self._ping_at
        if self._connect_by:
            deadline = min(deadline, self._connect_by)
        if self._slow_by:
            deadline = min(deadline, self._slow_by)
        return deadline

    def tick(self, now: float) -> float | None:
        reached = self.engine.wheel.reached
        if self.state >= ENDING:
            self.close(Reason.SERVER_DISCONNECT)
            return None
        if self._connect_by and reached(now, self._connect_by):
            self.close(Reason.CONNECT_TIMEOUT)
            return None
        if self._slow_by and reached(now, self._slow_by):
            self._weigh_transport()
            if self._slow_by:
                self.abort(Reason.SLOW_CONSUMER)
                return None
        if self._pong_by:
            if reached(now, self._pong_by):
                self.abort(Reason.PING_TIMEOUT)
                return None
        elif reached(now, self._ping_at):
            self._ping(now)
        return self._deadline()

    def _ping(self, now: float) -> None:
        """Also while packets are held back: the client must see that we live."""
        self.uncork()
        self._pong_by = now + self.engine.limits.ping_timeout_seconds
        held, self.held = self.held, None
        self.choose_write()
        self.write(PING)
        if held is not None and self.state < ENDING:
            self.held = held
            self.choose_write()

    # End.

    def close(self, reason: str, code: int = NORMAL, final: bytes = NOOP_PACKET) -> None:
        """End the session, its WebSocket with a closing handshake; `final` answers a GET that waits."""
        if self.state == CLOSED:
            return
        if self.link is not None:  # else the connection is lost, and what was to be written with it
            self.uncork()
        self._corked = None
        known, self.state, self.held = self.state < ENDING, CLOSED, None
        self.choose_write()
        engine, link = self.engine, self.link
        engine.wheel.discard(self)
        engine.forget(self, reason)
        if self.resumed is not None and not self.resumed.done():
            self.resumed.set_result(None)
        if link is not None:
            self.link = link.session = None
            link.close(code)
        if self.poll is None:
            self.pending = []
        elif not self.poll.done():
            self.pending.append(framing.frame(framing.TEXT, final))
            self.poll.set_result(None)
        if known:
            engine.consumer.on_close(self, reason)

    def finish(self, reason: str, code: int = NORMAL) -> None:
        """As `close`, but what was written before still reaches a client that polls."""
        if self.state not in (POLLING, PROBING) or not self.pending or self.poll is not None:
            self.close(reason, code)
            return
        self.state, self.held = ENDING, None
        self.choose_write()
        engine = self.engine
        engine.wheel.move(self, engine.wheel.now() + engine.limits.linger_seconds)
        engine.consumer.on_close(self, reason)

    def abort(self, reason: str) -> None:
        """As `close`, without waiting for a peer that does not read."""
        link = self.link
        self.close(reason)
        if link is not None:
            link.abort()
