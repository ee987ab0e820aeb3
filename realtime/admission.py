"""Admission: how much one connection, user, room, address or node may ask for.

A token bucket holds `burst` tokens and refills at `per_second`; whatever arrives takes its
cost or is refused with the time after which it would pass. Nothing is queued here: a queue
in front of a limit only turns a flood into latency for everybody else.

A command has to pass the buckets of its connection, its user, its room and the node. They
are all asked before any is charged, so that a refusal in the room's bucket does not also
eat up the user's own allowance.

A refusal costs the sender a strike. Strikes are forgiven with time; who collects more than
the allowance keeps sending without listening to `retry_after_ms`, and is disconnected.

Pure: the caller passes the time (any monotonic clock in milliseconds), or the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network

from msgspec import Struct


class Rate(Struct, frozen=True):
    """`per_second` in the long run, `burst` at once."""

    per_second: float
    burst: float


def parse_rate(text: str) -> Rate:
    """`per_second/burst`, as the configuration has it."""
    per_second, _, burst = text.partition("/")
    return Rate(float(per_second), float(burst))


class Bucket:
    """One token bucket. Full when new."""

    __slots__ = ("at_ms", "rate", "tokens")

    def __init__(self, rate: Rate, now_ms: float) -> None:
        self.rate = rate
        self.tokens = rate.burst
        self.at_ms = now_ms

    def wait_ms(self, cost: float, now_ms: float) -> float:
        """0 when `cost` tokens are there now, else after how many milliseconds they will be."""
        elapsed_ms = now_ms - self.at_ms
        if elapsed_ms > 0:
            refilled = self.tokens + elapsed_ms * self.rate.per_second / 1000
            self.tokens = refilled if refilled < self.rate.burst else self.rate.burst
            self.at_ms = now_ms
        missing = min(cost, self.rate.burst) - self.tokens
        return missing * 1000 / self.rate.per_second if missing > 0 else 0.0

    def charge(self, cost: float) -> None:
        self.tokens -= cost

    def take(self, cost: float, now_ms: float) -> float:
        """Charge when it fits; returns what `wait_ms` says."""
        wait = self.wait_ms(cost, now_ms)
        if not wait:
            self.tokens -= cost
        return wait


def take_all(buckets: Sequence[Bucket], cost: float, now_ms: float) -> float:
    """Charge every bucket, or none; returns the longest wait (0: admitted)."""
    longest = 0.0
    for bucket in buckets:
        wait = bucket.wait_ms(cost, now_ms)
        if wait > longest:
            longest = wait
    if not longest:
        for bucket in buckets:
            bucket.tokens -= cost
    return longest


class Rates(Struct, frozen=True):
    """Every rate of a node. The scopes are named first, what is counted last."""

    connection_events: Rate
    connection_chat: Rate
    connection_bytes: Rate
    user_events: Rate
    user_chat: Rate
    room_events: Rate
    room_chat: Rate
    room_joins: Rate
    node_events: Rate
    node_chat: Rate
    node_joins: Rate
    strikes: Rate


class Scope:
    """The buckets of one user, room or node: events, chat and (room, node) joins."""

    __slots__ = ("chat", "events", "joins")

    def __init__(self, events: Rate, chat: Rate, joins: Rate | None, now_ms: float) -> None:
        self.events = Bucket(events, now_ms)
        self.chat = Bucket(chat, now_ms)
        self.joins = Bucket(joins, now_ms) if joins is not None else None


class Allowance:
    """The buckets of one connection."""

    __slots__ = ("bytes", "chat", "events", "strikes")

    def __init__(self, rates: Rates, now_ms: float) -> None:
        self.events = Bucket(rates.connection_events, now_ms)
        self.chat = Bucket(rates.connection_chat, now_ms)
        self.bytes = Bucket(rates.connection_bytes, now_ms)
        self.strikes = Bucket(rates.strikes, now_ms)

    def struck_out(self, now_ms: float) -> bool:
        """Count one refusal; True when the sender has used up its strikes."""
        return self.strikes.take(1, now_ms) > 0


class Admission:
    """The rates of a node with the node's own buckets."""

    __slots__ = ("node", "rates")

    def __init__(self, rates: Rates, now_ms: float) -> None:
        self.rates = rates
        self.node = Scope(rates.node_events, rates.node_chat, rates.node_joins, now_ms)

    def connection(self, now_ms: float) -> Allowance:
        return Allowance(self.rates, now_ms)

    def user(self, now_ms: float) -> Scope:
        return Scope(self.rates.user_events, self.rates.user_chat, None, now_ms)

    def room(self, now_ms: float) -> Scope:
        return Scope(self.rates.room_events, self.rates.room_chat, self.rates.room_joins, now_ms)

    def command(self, allowance: Allowance, user: Scope, room: Scope, kind: str, now_ms: float) -> float:
        """Milliseconds to wait before this command may pass; 0 when it has been admitted.

        `kind` is "chat", "join" or "event"; chat and joins count as events too.
        """
        buckets = [allowance.events, user.events, room.events, self.node.events]
        if kind == "chat":
            buckets += [allowance.chat, user.chat, room.chat, self.node.chat]
        elif kind == "join":
            buckets += [bucket for bucket in (room.joins, self.node.joins) if bucket is not None]
        return take_all(buckets, 1, now_ms)


class Addresses:
    """Connections per remote address: how many at once, and how many new ones per second.

    `exempt` are networks that stand for many people: the proxy in front of the node, and the
    loopback, where everything comes from one address by nature.
    """

    def __init__(self, together: int, rate: Rate, exempt: Iterable[str], now_ms: Callable[[], float]) -> None:
        self._now_ms = now_ms
        self._together = together
        self._rate = rate
        self._exempt = [ip_network(network) for network in exempt]
        self._open: dict[str, int] = {}
        self._buckets: dict[str, Bucket] = {}
        self._judged: dict[str, bool] = {}

    def is_exempt(self, address: str) -> bool:
        known = self._judged.get(address)
        if known is None:
            if len(self._judged) > 10_000:
                self._judged.clear()
            known = self._judged[address] = self._covered(address)
        return known

    def _covered(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False  # a unix socket or rubbish: nothing anybody has exempted
        return any(parsed in network for network in self._exempt)

    def open(self, address: str) -> bool:
        """Admit one connection, or not."""
        if self.is_exempt(address):
            return True
        now_ms = self._now_ms()
        count = self._open.get(address, 0)
        if count >= self._together:
            return False
        bucket = self._buckets.get(address)
        if bucket is None:
            if len(self._buckets) > 50_000:
                self._forget_full(now_ms)
            bucket = self._buckets[address] = Bucket(self._rate, now_ms)
        if bucket.take(1, now_ms):
            return False
        self._open[address] = count + 1
        return True

    def close(self, address: str) -> None:
        count = self._open.get(address, 0) - 1
        if count > 0:
            self._open[address] = count
        else:
            self._open.pop(address, None)

    def _forget_full(self, now_ms: float) -> None:
        """A full bucket says nothing that a new one would not."""
        self._buckets = {
            address: bucket
            for address, bucket in self._buckets.items()
            if bucket.wait_ms(bucket.rate.burst, now_ms) > 0
        }
