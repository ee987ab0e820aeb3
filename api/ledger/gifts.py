"""Group commit: gifts that arrive together are written by one statement, and each gets its own answer.

While a batch is being written, the next one gathers; it leaves the moment the writer is free. So the
window is as long as the database needs for the batch before: a lone gift waits for nothing, and the
busier the house, the larger the batch. Batches want the same rows (a star's, the platform's) and pass one
after the other anyhow, so a second one is sent ahead only when a full batch waits: it gets ready while
the first one is being made durable. A sender never stands in both.

Within a batch the order of arrival is kept, so a sender's gifts are judged in order. Equal requests (one
sender, one key, one content) share one place and one outcome. The same key with another content waits for
the next batch, where the ledger finds the first one written.

A gift that the database cannot store (a balance beyond 64 bits) fails the statement it stands in. The
batch is then written in halves, down to the one that is to blame: its neighbours are not harmed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter as Counts
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, cast

import asyncpg
from msgspec import Struct
from prometheus_client import Counter, Histogram

from api.ledger.database import Database
from api.ledger.queries import query
from state.rejections import Code, Rejection, Unavailable

BATCH_MAX: Final = 256  # beyond it a batch only gets slower
LANES_MAX: Final = 2
WAITING_MAX: Final = 4_096  # about a third of a second of work; who comes later is told so at once
PLATFORM_SHARDS: Final = 16  # as many platform accounts as the schema has

_outcomes = Counter("flylive_gifts", "Gifts judged by the ledger.", ["outcome"])
_batch_sizes = Histogram(
    "flylive_gift_batch_size", "Gifts in one commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
_batch_seconds = Histogram("flylive_gift_batch_seconds", "Time of one commit.")


class Gift(Struct, frozen=True):
    """A gift to be paid. Price and experience come from the catalog, never from a client."""

    transaction_id: str
    sender_id: str
    key: str
    fingerprint: bytes
    room_id: str
    gift_id: str
    price: int
    quantity: int
    recipients: tuple[str, ...]
    wealth_xp: int
    charm_xp: int
    detail: str

    @property
    def cost(self) -> int:
        """What the sender pays."""
        return self.price * self.quantity * len(self.recipients)


class Paid(Struct, frozen=True):
    """A gift is in the ledger; `replayed` when it was there before."""

    transaction_id: str
    total_cost: int
    balance: int
    replayed: bool


Outcome = Paid | Rejection


class _Place(Struct):
    """A gift that waits, and all who wait for it."""

    gift: Gift
    waiters: list[asyncio.Future[Outcome]]


def fingerprint(*parts: object) -> bytes:
    """What makes two requests the same."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def shard_of(name: str) -> int:
    """Which of the platform's accounts the writer of this name uses."""
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % PLATFORM_SHARDS


class GiftWriter:
    """Gathers gifts and writes them in batches."""

    def __init__(
        self,
        database: Database,
        *,
        shard: int,
        recipient_share_bps: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._shard = shard
        self._share = recipient_share_bps
        self._now_ms = now_ms
        self._waiting: deque[_Place] = deque()
        self._places: dict[tuple[str, str], _Place] = {}
        self._lanes: set[asyncio.Task[None]] = set()
        self._senders_in_flight: set[str] = set()

    async def pay(self, gift: Gift) -> Outcome:
        """The ledger's word on one gift, however long it takes: the caller sets the time. Who gave up, or got
        Unavailable, does not know the outcome until it asks again."""
        loop = asyncio.get_running_loop()
        place = self._place(gift)
        future: asyncio.Future[Outcome] = loop.create_future()
        place.waiters.append(future)
        if not self._lanes or (len(self._lanes) < LANES_MAX and len(self._waiting) >= BATCH_MAX):
            self._lanes.add(loop.create_task(self._lane()))
        return await future

    def _place(self, gift: Gift) -> _Place:
        key = (gift.sender_id, gift.key)
        place = self._places.get(key)
        if place is not None and place.gift.fingerprint == gift.fingerprint:
            return place
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("too many gifts wait for the ledger")
        place = _Place(gift, [])
        self._waiting.append(place)
        self._places.setdefault(key, place)
        return place

    async def _lane(self) -> None:
        try:
            await self._write_waiting()
        finally:
            # At once: a gift that comes now must find that nobody is at work.
            self._lanes.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _write_waiting(self) -> None:
        """One lane: batch after batch, until none is left; the second lane only while they are full."""
        while self._waiting and (len(self._lanes) < LANES_MAX or len(self._waiting) >= BATCH_MAX):
            batch = self._next_batch()
            if not batch:
                return
            senders = {place.gift.sender_id for place in batch}
            self._senders_in_flight |= senders
            try:
                await self._write(batch)
            finally:
                self._senders_in_flight -= senders

    def _next_batch(self) -> list[_Place]:
        """The longest waiting gifts that may go now: each key of a sender once, no sender that stands in
        another batch, nobody who has given up."""
        batch: list[_Place] = []
        keys: set[tuple[str, str]] = set()
        later: list[_Place] = []
        while self._waiting and len(batch) < BATCH_MAX:
            place = self._waiting.popleft()
            key = (place.gift.sender_id, place.gift.key)
            if key in keys or place.gift.sender_id in self._senders_in_flight:
                later.append(place)
                continue
            if self._places.get(key) is place:
                del self._places[key]
            if all(waiter.done() for waiter in place.waiters):
                continue
            keys.add(key)
            batch.append(place)
        self._waiting.extendleft(reversed(later))
        return batch

    async def _write(self, batch: list[_Place]) -> None:
        _batch_sizes.observe(len(batch))
        try:
            with _batch_seconds.time():
                outcomes = await self._outcomes([place.gift for place in batch])
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            await self._write_parts(batch, error)
        except Unavailable as error:
            _answer_all(batch, error)
        except BaseException as error:
            # A defect: nobody may be left waiting for an answer that never comes.
            _answer_all(batch, Unavailable("the ledger failed"))
            if not isinstance(error, Exception):
                raise
            asyncio.get_running_loop().call_exception_handler(
                {"message": "writing gifts failed", "exception": error}
            )
        else:
            for place, outcome in zip(batch, outcomes, strict=True):
                _answer(place, outcome)

    async def _write_parts(self, batch: list[_Place], error: Exception) -> None:
        if len(batch) == 1:
            _outcomes.labels("unstorable").inc()
            refusal = Rejection(
                Code.CONFLICT, "the amount does not fit an account", details={"reason": str(error)}
            )
            for waiter in batch[0].waiters:
                if not waiter.done():
                    waiter.set_result(refusal)
            return
        middle = len(batch) // 2
        await self._write(batch[:middle])
        await self._write(batch[middle:])

    async def _outcomes(self, gifts: Sequence[Gift]) -> list[Outcome]:
        try:
            rows = await self._rows(gifts)
        except asyncpg.UniqueViolationError:
            # Another node wrote one of the keys at the same moment: now it is there to be found.
            rows = await self._rows(gifts)
        found: list[Outcome | None] = [None] * len(gifts)
        for position, outcome, transaction_id, cost, balance in rows:
            found[position - 1] = _outcome(outcome, transaction_id, cost, balance)
        for outcome, times in Counts(row[1] for row in rows).items():
            _outcomes.labels(outcome).inc(times)
        return [outcome if outcome is not None else _unanswered() for outcome in found]

    async def _rows(self, gifts: Sequence[Gift]) -> list[Any]:
        async with self._database.connection() as connection:
            rows: list[Any] = await connection.fetch(
                query("send_gifts"), self._now_ms(), self._shard, self._share, *columns(gifts)
            )
            return rows


def columns(gifts: Sequence[Gift]) -> tuple[list[object], ...]:
    """A batch as the arrays of the statement."""
    return (
        [gift.transaction_id for gift in gifts],
        [gift.sender_id for gift in gifts],
        [gift.key for gift in gifts],
        [gift.fingerprint for gift in gifts],
        [gift.room_id for gift in gifts],
        [gift.gift_id for gift in gifts],
        [gift.price for gift in gifts],
        [gift.quantity for gift in gifts],
        [",".join(gift.recipients) for gift in gifts],
        [gift.wealth_xp for gift in gifts],
        [gift.charm_xp for gift in gifts],
        [gift.detail for gift in gifts],
    )


def _outcome(outcome: Literal["accepted"] | str, transaction_id: object, cost: int, balance: int) -> Outcome:
    match outcome:
        case "accepted" | "replayed":
            return Paid(str(transaction_id), cost, balance, replayed=outcome == "replayed")
        case "mismatch":
            return Rejection(Code.IDEMPOTENCY_MISMATCH, "this key paid for another gift")
        case _:
            return Rejection(
                Code.INSUFFICIENT_FUNDS,
                "the wallet does not hold enough coins",
                details={"required": cost, "available": balance},
            )


def _unanswered() -> Outcome:
    raise AssertionError("the ledger left a gift without an answer")


def _answer(place: _Place, outcome: Outcome) -> None:
    """The first waiter made the payment; the others asked for the same and are told so."""
    first = True
    for waiter in place.waiters:
        if not waiter.done():
            waiter.set_result(outcome if first else _repeated(outcome))
            first = False


def _repeated(outcome: Outcome) -> Outcome:
    if isinstance(outcome, Paid) and not outcome.replayed:
        return Paid(outcome.transaction_id, outcome.total_cost, outcome.balance, replayed=True)
    return outcome


def _answer_all(batch: list[_Place], error: Unavailable) -> None:
    for place in batch:
        for waiter in place.waiters:
            if not waiter.done():
                waiter.set_exception(error)
