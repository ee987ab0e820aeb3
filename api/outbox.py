"""Tells what is committed: to the boards, to the parties, to the room. Each once, whatever dies in between.

A payment and its row in the outbox are one commit. Relays (one per node) take rows that no other relay
holds, tell them, and delete them. Who dies while telling leaves the rows where they are, and telling
again is harmless: the boards remember which transactions they counted, a wallet is told as it is and not
as it changed, and the room takes the transaction's id as command id, so a repeat gets the first answer.
That memory of the room is short; a row that is older than it is first looked for in the room's events.

A room that does not answer, or a row that cannot be told for a defect of ours, is left to rest for a
while: the others go on.

Rows are taken by lock, never by "id greater than the last": ids become visible out of order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from prometheus_client import Counter, Gauge

from api.boards import Boards, Counted, Score
from api.ledger.books import wallets_of
from api.ledger.database import Database
from api.ledger.queries import query
from state import limits
from state.commands import AnnounceGift
from state.events import GiftSent, WalletUpdated
from state.fields import Board, GiftShown
from state.identity import SYSTEM, Profile
from state.inbox import Inbox
from state.ports import Done
from state.rejections import Code, Unavailable
from state.rooms import Rooms
from state.wire import encode_fields

BATCH_MAX: Final = 200
SWEEP_AFTER: Final = 5_000  # rows told by this relay
IDLE_SECONDS: Final = 0.25  # how soon rows of a node that died are noticed
BACKOFF_SECONDS_MAX: Final = 2.0
TELL_SECONDS: Final = 15.0
# How long a payer's answer may wait for the combo; without it the payer learns it from the room's event.
COMBO_SECONDS: Final = 0.05
# How long a row is left alone that could not be told: the room was away, or we have a defect.
REST_MS: Final = 500
DEFECT_REST_MS: Final = 30_000
LATE_MS: Final = 10_000  # an outbox this old is a fault to be seen
# From here on the room may have forgotten the command id.
FORGOTTEN_MS: Final = limits.COMMAND_MEMORY_MS // 2
LOOK_BACK: Final = (limits.RESUME_EVENTS_MAX, 300, 100, 30)

_told = Counter("flylive_outbox_told", "Transactions told to room, parties and boards.")
_age = Gauge("flylive_outbox_age_seconds", "Age of the oldest transaction that was taken and not yet told.")
_log = structlog.get_logger("outbox")


class Detail(Struct, frozen=True):
    """What an announcement shows and the ledger does not keep."""

    sender: Profile
    gift: GiftShown
    combo_window_ms: int | None


class Relay:
    """The part of a node that tells."""

    name = "outbox"

    def __init__(
        self,
        database: Database,
        *,
        rooms: Rooms,
        inbox: Inbox,
        boards: Boards,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._inbox = inbox
        self._boards = boards
        self._now_ms = now_ms
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._oldest_ms: int | None = None
        self._unswept = 0
        # Rows that rest: until when, and since when they wait.
        self._resting: dict[Any, tuple[int, int]] = {}
        # Who paid and wants to know what its room made of it.
        self._awaited: dict[str, asyncio.Future[dict[str, Any] | None]] = {}

    async def start(self) -> None:
        """Begins to tell."""
        self._task = asyncio.create_task(self._run())

    async def drain(self, seconds: float) -> None:
        """Tells on until the end: what this node committed last is announced before it goes."""

    async def stop(self) -> None:
        """Tells what is left, then ends. What can not be told now, another node tells."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(1.0):
                while await self.tell_some():
                    pass

    async def check(self) -> str | None:
        """Not ready when the oldest transaction waits for too long."""
        if self._oldest_ms is not None and self._now_ms() - self._oldest_ms > LATE_MS:
            return "committed gifts wait to be announced"
        return None

    def wake(self) -> None:
        """There is something new."""
        self._woken.set()

    async def combo(self, transaction_id: str) -> dict[str, Any] | None:
        """The combo that a gift paid a moment ago became part of, if this node tells its room soon."""
        told: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
        self._awaited[transaction_id] = told
        try:
            async with asyncio.timeout(COMBO_SECONDS):
                return await told
        except TimeoutError:
            return None
        finally:
            del self._awaited[transaction_id]

    async def _run(self) -> None:
        backoff_seconds = 0.0
        while True:
            try:
                told = await self.tell_some()
            except Exception as error:
                # Whatever it is, others' gifts wait behind it: look again, and say so.
                _log.warning("telling failed", reason=str(error), exc_info=not isinstance(error, Unavailable))
                backoff_seconds = min(BACKOFF_SECONDS_MAX, backoff_seconds * 2 or 0.1)
                await asyncio.sleep(backoff_seconds)
                continue
            backoff_seconds = 0.0
            if not told:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._woken.wait()
                self._woken.clear()

    async def tell_some(self) -> int:
        """Tells a batch; returns how many were told. Raises Unavailable when nothing could be."""
        async with self._database.connection(TELL_SECONDS) as connection, connection.transaction():
            resting = self._rest_over()
            rows = await connection.fetch(query("outbox_take"), BATCH_MAX, resting)
            self._note_oldest(rows)
            if not rows:
                return 0
            ids = [row["transaction_id"] for row in rows]
            moved = await connection.fetch(query("movements"), ids)
            users = sorted({move["owner_id"] for move in moved if move["kind"] == "user"})
            accounts = await connection.fetch(query("wallets"), users)
            await self._boards.count(counted_of(rows, moved))
            await self._tell_parties(rows, moved, wallets_of(users, accounts))
            done = await self._tell_rooms(rows)
            await connection.execute(query("outbox_drop"), done)
        _told.inc(len(done))
        self._unswept += len(done)
        if self._unswept >= SWEEP_AFTER:
            self._unswept = 0
            async with self._database.connection(TELL_SECONDS) as connection:
                await connection.execute(query("outbox_sweep"))
        return len(done)

    def _rest_over(self) -> list[Any]:
        """Forgets who has rested enough; the ids of the others."""
        now_ms = self._now_ms()
        self._resting = {key: times for key, times in self._resting.items() if times[0] > now_ms}
        return list(self._resting)

    def _note_oldest(self, rows: Sequence[Any]) -> None:
        waiting = [at_ms for _, at_ms in self._resting.values()] + [row["at_ms"] for row in rows[:1]]
        self._oldest_ms = min(waiting, default=None)
        _age.set(0 if self._oldest_ms is None else (self._now_ms() - self._oldest_ms) / 1000)

    async def _tell_parties(self, rows: Sequence[Any], moved: Sequence[Any], wallets: dict[str, Any]) -> None:
        """Each party once, with what it has now and the last transaction that changed it."""
        kinds = {row["transaction_id"]: row["kind"] for row in rows}
        causes = {move["owner_id"]: move["transaction_id"] for move in moved if move["kind"] == "user"}
        for move in sorted(moved, key=lambda move: move["transaction_id"]):
            if move["kind"] == "user":
                causes[move["owner_id"]] = move["transaction_id"]
        letters = []
        for user_id, transaction_id in causes.items():
            wallet = wallets[user_id]
            event = WalletUpdated(wallet.coins, wallet.diamonds, kinds[transaction_id], str(transaction_id))
            letters.append(self._inbox.post(user_id, *encode_fields(event)))
        await asyncio.gather(*letters)

    async def _tell_rooms(self, rows: Sequence[Any]) -> list[Any]:
        """The ids of what needs no telling any more. A room that does not answer does not stop the others."""
        results = await asyncio.gather(*(self._announce(row) for row in rows), return_exceptions=True)
        done = []
        for row, result in zip(rows, results, strict=True):
            if result is None:
                done.append(row["transaction_id"])
                continue
            if not isinstance(result, Exception):
                raise result
            is_defect = not isinstance(result, Unavailable)
            if is_defect:
                _log.error("a gift could not be announced", id=str(row["transaction_id"]), exc_info=result)
            rest_ms = DEFECT_REST_MS if is_defect else REST_MS
            self._resting[row["transaction_id"]] = (self._now_ms() + rest_ms, row["at_ms"])
        return done

    async def _announce(self, row: Any) -> None:
        if row["kind"] != "gift":
            return
        transaction_id = str(row["transaction_id"])
        is_old = self._now_ms() - row["at_ms"] > FORGOTTEN_MS
        if is_old and await self._was_announced(row["room_id"], transaction_id):
            return
        answer = await self._rooms.perform(
            row["room_id"], SYSTEM, announcement_of(row), command_id=transaction_id
        )
        if isinstance(answer, Done):
            awaited = self._awaited.get(transaction_id)
            if awaited is not None and not awaited.done():
                awaited.set_result(answer.data.get("combo"))
            return
        if answer.code is Code.UNAVAILABLE:
            raise Unavailable(answer.message)
        # The room is gone: there is nobody to tell.
        _log.info("gift not announced", transaction_id=transaction_id, code=str(answer.code))

    async def _was_announced(self, room_id: str, transaction_id: str) -> bool:
        room = await self._rooms.load(room_id)
        if room is None:
            return False
        for span in LOOK_BACK:
            events = await self._rooms.events_since(room_id, room.epoch, max(0, room.seq - span))
            if events is not None:
                return any(
                    isinstance(recorded.event, GiftSent) and recorded.event.transaction_id == transaction_id
                    for recorded in events
                )
        return False


def announcement_of(row: Any) -> AnnounceGift:
    """The command that tells a room of a gift."""
    detail = msgspec.json.decode(row["detail"], type=Detail)
    return AnnounceGift(
        transaction_id=str(row["transaction_id"]),
        sender=detail.sender,
        gift=detail.gift,
        quantity=row["quantity"],
        recipients=list(row["recipients"]),
        total_cost=row["amount"],
        combo_window_ms=detail.combo_window_ms,
        committed_at=row["at_ms"],
    )


def counted_of(rows: Sequence[Any], moved: Sequence[Any]) -> list[Counted]:
    """What the boards count: coins spent by senders and in rooms, diamonds earned by recipients and agencies.
    A reversed gift counts the other way round; credits count for nobody."""
    parts: dict[Any, list[Any]] = {}
    for move in moved:
        parts.setdefault(move["transaction_id"], []).append(move)
    counted = []
    for row in rows:
        kind = row["original_kind"] or row["kind"]
        if kind != "gift":
            continue
        spent = row["amount"] if row["kind"] == "gift" else -row["amount"]
        room_id = row["room_id"] or row["original_room_id"]
        scores = [Score("senders", row["owner_id"], spent), Score("rooms", room_id, spent)]
        for move in parts.get(row["transaction_id"], []):
            if move["currency"] == "diamonds":
                board: Board = "agencies" if move["kind"] == "agency" else "recipients"
                scores.append(Score(board, move["owner_id"], move["amount"]))
        at_ms = row["original_at_ms"] or row["at_ms"]
        counted.append(Counted(str(row["transaction_id"]), row["at_ms"], at_ms, scores))
    return counted
