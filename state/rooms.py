"""The one verb by which rooms change: perform.

One mailbox per room on this node. A pump takes what waits there, folds it through decide and evolve on the
newest copy it has, and commits the whole batch with one call. If somebody else was faster, the store hands
back the document and the same commands are decided again. Every answer, also a refusal, is given only after
the store has confirmed the position it was decided on.

A command with an id is carried out at most once: its first answer is remembered by the store, and a twin in
flight waits for the same answer.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec.structs import replace

from state import commands as c
from state import limits
from state.events import Recorded, Settings
from state.following import RoomView
from state.identity import Actor, Profile
from state.ids import id_after, new_id
from state.passwords import SALT_BYTES, hash_password
from state.ports import Answer
from state.ports import Done as Done
from state.recovery import Recovery
from state.rejections import Code, Rejection, Unavailable
from state.room import Room, message_shown, seats_of, snapshot
from state.store import (
    Change,
    Committed,
    Fenced,
    Known,
    Loaded,
    Lost,
    Missing,
    Remembered,
    RoomStore,
    Stale,
    Wait,
)
from state.transitions import ABOUT_OTHERS, QUERIES, Decision, Facts, decide, evolve, target_of

_log = logging.getLogger(__name__)
_IDLE_MAILBOXES_MAX: Final = 10_000
_ID_BYTES: Final = 10
_TURN_FROM: Final = 3  # so often too late, and a node asks to be the next
_TURN_MS: Final = 50
_WAIT_MS: Final = 3
_FORGETTABLE: Final = frozenset({"later"})

MemberOf = Callable[[str, str], Awaitable[Profile | None]]


class Pending:
    """A command that waits for its answer, and all who wait with it."""

    __slots__ = ("actor", "callers", "command", "command_id", "facts", "settled")

    def __init__(self, actor: Actor, command: c.AnyCommand, command_id: str | None) -> None:
        self.actor = actor
        self.command = command
        self.command_id = command_id
        self.facts = Facts()
        self.settled = False
        self.callers: list[asyncio.Future[Answer]] = []

    def answer(self) -> asyncio.Future[Answer]:
        """For one caller: who gives up takes it away from nobody else."""
        caller: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.callers.append(caller)
        return caller

    def settle(self, answer: Answer | BaseException) -> None:
        """Tell all callers."""
        self.settled = True
        for caller in self.callers:
            if caller.done():
                continue
            if isinstance(answer, BaseException):
                caller.set_exception(answer)
            else:
                caller.set_result(answer)


class Mailbox:
    """What waits for one room, and the newest copy that its writer knows."""

    __slots__ = ("base", "in_flight", "pump", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Pending] = deque()
        self.in_flight: dict[tuple[str, str], Pending] = {}
        self.base: Room | None = None
        self.pump: asyncio.Task[None] | None = None


class Fence:
    """What this node is to the others: a name and the token of its lease."""

    node: str = ""
    token: int = 0

    def is_held(self) -> bool:
        """Whether the lease is certainly still ours."""
        return True

    def lose(self) -> None:
        """The others gave us up."""


class Rooms:
    """All rooms, as seen from this node. Every call may raise Unavailable."""

    def __init__(
        self,
        store: RoomStore,
        recovery: Recovery,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        view: Callable[[str], RoomView | None],
        member: MemberOf,
        fence: Fence | None = None,
        away_grace_ms: int = limits.AWAY_GRACE_MS_DEFAULT,
        idle_close_ms: int = limits.IDLE_CLOSE_MS_DEFAULT,
    ) -> None:
        self._store = store
        self._recovery = recovery
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._view = view
        self._member = member
        self._fence = Fence() if fence is None else fence
        self._away_grace_ms = away_grace_ms
        self._idle_close_ms = idle_close_ms
        self._mailboxes: OrderedDict[str, Mailbox] = OrderedDict()
        self.commits = 0
        self.attempts = 0
        self.performed = 0
        self.attempts_of_commits: list[int] | None = None

    # --- Commands -----------------------------------------------------------------------------------------

    async def perform(
        self, room_id: str, actor: Actor, command: c.AnyCommand, *, command_id: str | None = None
    ) -> Answer:
        """Carry out a room command; with a command id (default: the command's cid) at most once."""
        if isinstance(command, _READS):
            return await self._read(room_id, actor, command)
        command_id = command.cid if command_id is None else command_id
        mailbox = self._mailboxes.get(room_id)
        if mailbox is None:
            mailbox = self._mailboxes[room_id] = Mailbox()
            self._forget_idle()
        if command_id is not None:
            twin = mailbox.in_flight.get((actor.user_id, command_id))
            if twin is not None:
                return await twin.answer()
        if len(mailbox.waiting) >= limits.MAILBOX_MAX:
            raise Unavailable("too many commands wait in this room")
        pending = Pending(actor, command, command_id)
        if command_id is not None:
            mailbox.in_flight[actor.user_id, command_id] = pending
        try:
            pending.facts = await self._facts(room_id, mailbox, command)
        except BaseException as error:
            cancelled = not isinstance(error, Exception)
            self._settle(mailbox, pending, Unavailable("its first caller gave up") if cancelled else error)
            raise
        mailbox.waiting.append(pending)
        if mailbox.pump is None or mailbox.pump.done():
            mailbox.pump = asyncio.get_running_loop().create_task(self._pump(room_id, mailbox))
        return await pending.answer()

    async def _facts(self, room_id: str, mailbox: Mailbox, command: c.AnyCommand) -> Facts:
        if isinstance(command, c.RoomUpdate):
            if command.password is None:
                return Facts()
            return Facts(password_hash=hash_password(command.password, self._random_bytes(SALT_BYTES)))
        if isinstance(command, c.ChatDelete):
            return Facts(message=await self._store.message(room_id, command.message_id))
        if not isinstance(command, ABOUT_OTHERS):
            return Facts()
        room = self._newest(room_id, mailbox) or await self._load(room_id)
        if not isinstance(room, Room):
            return Facts()
        target = target_of(room, command)
        return Facts() if target is None else Facts(target=await self._member(room_id, target))

    def newest(self, room_id: str) -> Room | None:
        """The newest copy that this node has, if any, without asking the store."""
        mailbox = self._mailboxes.get(room_id)
        return self._newest(room_id, Mailbox() if mailbox is None else mailbox)

    def _newest(self, room_id: str, mailbox: Mailbox) -> Room | None:
        view = self._view(room_id)
        base = mailbox.base
        if view is None:
            return base
        room = view.room
        if base is None or room.epoch > base.epoch or (room.epoch == base.epoch and room.seq > base.seq):
            return room
        return base

    def _forget_idle(self) -> None:
        while len(self._mailboxes) > _IDLE_MAILBOXES_MAX:
            room_id, mailbox = next(iter(self._mailboxes.items()))
            if mailbox.waiting or mailbox.in_flight or (mailbox.pump and not mailbox.pump.done()):
                self._mailboxes.move_to_end(room_id)
                return
            del self._mailboxes[room_id]

    # --- The pump -----------------------------------------------------------------------------------------

    async def _pump(self, room_id: str, mailbox: Mailbox) -> None:
        while mailbox.waiting:
            batch = [mailbox.waiting.popleft() for _ in range(min(limits.BATCH_MAX, len(mailbox.waiting)))]
            try:
                await self._commit(room_id, mailbox, batch)
            except Unavailable as error:
                # The server is away: whoever waits behind this batch would only wait longer for the same.
                batch += mailbox.waiting
                mailbox.waiting.clear()
                self._fail(mailbox, batch, error)
            except asyncio.CancelledError:
                self._fail(mailbox, [*batch, *mailbox.waiting], Unavailable("the node stops"))
                raise
            except Exception as error:
                # A defect must not hold on to a copy that it may have spoiled, nor harm its neighbours.
                _log.exception("room %s: a commit failed", room_id)
                mailbox.base = None
                if len(batch) > 1:
                    await self._commit_singly(room_id, mailbox, batch)
                else:
                    self._fail(mailbox, batch, error)

    async def _commit_singly(self, room_id: str, mailbox: Mailbox, batch: list[Pending]) -> None:
        for pending in batch:
            if pending.settled:
                continue
            try:
                await self._commit(room_id, mailbox, [pending])
            except Exception as error:
                mailbox.base = None
                self._fail(mailbox, [pending], error)

    def _fail(self, mailbox: Mailbox, batch: list[Pending], error: BaseException) -> None:
        for pending in batch:
            self._settle(mailbox, pending, error)

    def _settle(self, mailbox: Mailbox, pending: Pending, answer: Answer | BaseException) -> None:
        if pending.command_id is not None:
            mailbox.in_flight.pop((pending.actor.user_id, pending.command_id), None)
        pending.settle(answer)

    async def _commit(self, room_id: str, mailbox: Mailbox, batch: list[Pending]) -> None:
        base: Room | None = self._newest(room_id, mailbox)
        deadline = asyncio.get_running_loop().time() + limits.COMMIT_DEADLINE_S
        late = 0
        while late < limits.ATTEMPTS_MAX and asyncio.get_running_loop().time() < deadline:
            if not self._fence.is_held():
                raise Unavailable("the node's lease is not certain")
            if base is None:
                loaded = await self._load(room_id)
                if isinstance(loaded, Rejection):
                    for pending in batch:
                        self._settle(mailbox, pending, loaded)
                    return
                base = loaded
            change, answers = self._fold(base, batch, late)
            outcome = await self._store.commit(change)
            self.attempts += 1
            if isinstance(outcome, Committed):
                mailbox.base = change.after
                self._count(len(batch), late + 1)
                for pending, answer in zip(batch, answers, strict=True):
                    self._settle(mailbox, pending, answer)
                return
            if isinstance(outcome, Stale):
                base, late = outcome.room, late + 1
            elif isinstance(outcome, Wait):
                await asyncio.sleep(min(outcome.milliseconds, _WAIT_MS) / 1000)
                base = self._newest(room_id, mailbox) or base
            elif isinstance(outcome, Known):
                batch = self._answer_known(mailbox, batch, outcome.answers)
                if not batch:
                    return
            else:
                await self._lost_ground(room_id, mailbox, base, outcome)
                base = None
        raise Unavailable("the room is too busy")

    def _count(self, commands: int, attempts: int) -> None:
        self.commits += 1
        self.performed += commands
        if self.attempts_of_commits is not None:
            self.attempts_of_commits.append(attempts)

    def _fold(self, base: Room, batch: list[Pending], late: int = 0) -> tuple[Change, list[Answer]]:
        room, now = base, self._now_ms()
        events: list[Recorded] = []
        answers: list[Answer] = []
        remembered: list[Remembered] = []
        for pending in batch:
            outcome = decide(room, pending.command, pending.actor, now, pending.facts)
            answer: Answer
            if isinstance(outcome, Decision):
                by = None if pending.actor.system else pending.actor.user_id
                for event in outcome.events:
                    recorded = Recorded(room.epoch, room.seq + 1, now, by, event)
                    room = evolve(room, recorded)
                    events.append(recorded)
                answer = Done(outcome.reply, room.epoch, room.seq)
            else:
                answer = outcome
            answers.append(answer)
            if pending.command_id is not None:
                key = self._store.keys.command(base.room_id, pending.actor.user_id, pending.command_id)
                lasting = isinstance(answer, Done) or answer.code.retry not in _FORGETTABLE
                remembered.append(Remembered(key, answer if lasting else None))
        turn_ms = _TURN_MS if late >= _TURN_FROM else 0
        change = Change(base, room, events, remembered, self._fence.node, self._fence.token, turn_ms)
        return change, answers

    def _answer_known(
        self, mailbox: Mailbox, batch: list[Pending], answers: dict[int, Answer]
    ) -> list[Pending]:
        with_id = [pending for pending in batch if pending.command_id is not None]
        known = {id(with_id[index]): answer for index, answer in answers.items()}
        for pending in with_id:
            if id(pending) in known:
                self._settle(mailbox, pending, known[id(pending)])
        return [pending for pending in batch if id(pending) not in known]

    async def _lost_ground(
        self, room_id: str, mailbox: Mailbox, base: Room, outcome: Missing | Lost | Fenced
    ) -> None:
        if isinstance(outcome, Fenced):
            self._fence.lose()
            raise Unavailable("this node was given up by the others")
        mailbox.base = None
        if base.closed_reason is None:
            view = self._view(room_id)
            self._recovery.report(room_id, base, () if view is None else view.chat)
            raise Unavailable("the room is being restored")

    async def _load(self, room_id: str) -> Room | Rejection:
        loaded = await self._store.load(room_id)
        if isinstance(loaded, Loaded):
            return loaded.room
        if isinstance(loaded, Missing):
            return Rejection(Code.ROOM_NOT_FOUND)
        self._recovery.report(room_id, None, ())
        raise Unavailable("the room is being restored")

    # --- Reading ------------------------------------------------------------------------------------------

    async def _read(self, room_id: str, actor: Actor, command: c.AnyCommand) -> Answer:
        view = self._view(room_id)
        room = view.room if view is not None else await self._load(room_id)
        if isinstance(room, Rejection):
            return room
        if isinstance(command, QUERIES):
            outcome = decide(room, command, actor, self._now_ms())
            return outcome if isinstance(outcome, Rejection) else Done(outcome.reply, room.epoch, room.seq)
        if not actor.present and not actor.system:
            return Rejection(Code.NOT_IN_ROOM)
        if isinstance(command, c.ChatHistory):
            messages = await self._store.history(room_id, command.before_seq, command.limit)
            shown = [message_shown(room_id, message) for message in messages]
            return Done({"messages": shown}, room.epoch, room.seq)
        assert isinstance(command, c.ModReport)
        return await self._report(room, actor, command)

    async def _report(self, room: Room, actor: Actor, command: c.ModReport) -> Answer:
        report_id = new_id(self._random_bytes(_ID_BYTES), self._now_ms())
        fields: list[str] = ["report_id", report_id, "room_id", room.room_id, "by", actor.user_id]
        fields += ["reason", command.reason]
        fields += ["user_id", command.user_id or "", "message_id", command.message_id or ""]
        await self._store.server.execute(
            "XADD", self._store.keys.reports, "MAXLEN", "~", 10_000, "*", *fields
        )
        return Done({"report_id": report_id}, room.epoch, room.seq)

    async def load(self, room_id: str) -> Room | None:
        """The newest document this node can have; None when there is no such room."""
        view = self._view(room_id)
        if view is not None:
            return view.room
        loaded = await self._load(room_id)
        return None if isinstance(loaded, Rejection) else loaded

    async def snapshot(self, room_id: str, viewer: Actor) -> dict[str, Any] | Rejection:
        """What a client of this viewer needs to show the room."""
        view = self._view(room_id)
        if view is not None:
            return view.snapshot(viewer)
        loaded = await self._store.load(room_id, limits.CHAT_SNAPSHOT)
        if isinstance(loaded, Loaded):
            return snapshot(loaded.room, viewer, loaded.chat)
        if isinstance(loaded, Missing):
            return Rejection(Code.ROOM_NOT_FOUND)
        self._recovery.report(room_id, None, ())
        raise Unavailable("the room is being restored")

    async def events_since(self, room_id: str, epoch: str, seq: int) -> list[Recorded] | None:
        """The events after a position, or None when they can not be had any more: take a snapshot."""
        events = await self._store.since(room_id, epoch, seq)
        if isinstance(events, list) and len(events) <= limits.RESUME_EVENTS_MAX:
            return events
        return None

    # --- Opening ------------------------------------------------------------------------------------------

    async def create(
        self, room_id: str, owner_id: str, settings: Settings, *, password: str | None = None
    ) -> Room | Rejection:
        """Open a new room, or one that was closed; ROOM_EXISTS when it is open."""
        now = self._now_ms()
        before = await self._store.load(room_id)
        if isinstance(before, Lost):
            self._recovery.report(room_id, None, ())
            raise Unavailable("the room is being restored")
        replaces = ""
        if isinstance(before, Loaded):
            if before.room.closed_reason is None:
                return Rejection(Code.ROOM_EXISTS)
            replaces = before.room.epoch
        password_hash = hash_password(password, self._random_bytes(SALT_BYTES)) if password else ""
        room = Room(
            room_id=room_id,
            owner_id=owner_id,
            settings=replace(settings, has_password=bool(password_hash)),
            seats=seats_of(settings.seat_count),
            created_at=now,
            epoch=id_after(replaces, self._random_bytes(_ID_BYTES), now),
            idle_since=now,
            password_hash=password_hash,
            away_grace_ms=self._away_grace_ms,
            idle_close_ms=self._idle_close_ms,
        )
        await self._store.server.execute("ZADD", self._store.keys.directory, 0, room_id)
        if not await self._store.create(room, replaces):
            return Rejection(Code.ROOM_EXISTS)
        # Whoever listed rooms between these two calls took the entry for a leftover.
        await self._store.server.execute("ZADD", self._store.keys.directory, 0, room_id)
        return room

    async def close(self) -> None:
        """Stop all pumps; what waits is answered UNAVAILABLE."""
        pumps = [mailbox.pump for mailbox in self._mailboxes.values() if mailbox.pump is not None]
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


_READS: Final = (*QUERIES, c.ChatHistory, c.ModReport)
