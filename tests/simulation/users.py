"""Users of the simulation: they come, do random things, repeat what got no answer, and come back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from state import commands as c
from state.identity import Actor, Profile, Role
from state.ports import Answer, Done
from state.rejections import Unavailable
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.nodes import Session, SimNode

ANSWER_SECONDS = 3.0
TRIES = 4
# So long a command may be begun again. Its last try, and a node that was stopped with it, may take a minute
# more: the kernel remembers for two (COMMAND_MEMORY_MS).
REPEAT_SECONDS = 30.0
# Some come back at once, some when everything about them must be settled.
AFTER_A_CRASH_SECONDS = (0.0, 0.2, 2.0, 70.0)


class User:
    def __init__(
        self, user_id: str, role: Role, room_id: str, rng: random.Random, ledger: Ledger, others: list[str]
    ) -> None:
        self.actor = Actor(user_id, role=role)
        self.room_id = room_id
        self.rng = rng
        self.ledger = ledger
        self.others = others
        self.session: Session | None = None
        self.position: tuple[str, int] | None = None
        self.operations = 0
        self.acknowledged = 0
        self.refused = 0
        self.serial = 0
        self.resting = False
        self.pace = 1.0
        # A command without an answer is given again with its id, on whatever node comes next.
        self.unanswered: tuple[Any, str] | None = None
        self.repeated_until = 0.0
        self.first_answer: tuple[Answer, int] | None = None
        # What was acknowledged at which position, as long as no loss can have taken it.
        self.promised: list[tuple[str, str, int, int]] = []

    @property
    def user_id(self) -> str:
        return self.actor.user_id

    @property
    def is_connected(self) -> bool:
        return self.session is not None and self.session.open and not self.session.node.process.killed

    async def live(self, choose: Callable[[], SimNode | None], is_over: Callable[[], bool]) -> None:
        while not is_over():
            if not self.is_connected:
                if self.session is not None and self.session.node.process.killed:
                    await asyncio.sleep(self.rng.choice(AFTER_A_CRASH_SECONDS))
                self._remember_position()
                await self._connect(choose())
                await asyncio.sleep(self.rng.uniform(0.05, 0.5))
                continue
            await asyncio.sleep(self.rng.choice((0.001, 0.05, 0.2, 1.0)) * self.pace)
            if self.resting:
                continue
            if self.rng.random() < 0.01:
                await self._go_away()
            elif self.is_connected:
                await self._do_something()

    # --- Connections --------------------------------------------------------------------------------------

    def _remember_position(self) -> None:
        if self.session is not None:
            if self.session.epoch:
                self.position = self.session.epoch, self.session.seq
            self.session = None

    async def _connect(self, node: SimNode | None) -> None:
        if node is None:
            return
        self.serial += 1
        session = Session(node, f"{node.name}.{self.user_id}{self.serial}", self.actor, self.room_id)
        position = self.position if self.rng.random() < 0.9 else None
        task = node.process.start(node.join(session, position))
        done, _ = await asyncio.wait([task], timeout=ANSWER_SECONDS)
        if done and not task.cancelled() and task.exception() is None:
            if task.result() is None:
                self.session = session
            return
        if done and not task.cancelled() and not isinstance(task.exception(), Unavailable):
            raise task.exception() or AssertionError
        await self._give_up(node, session, task)

    async def _give_up(self, node: SimNode, session: Session, task: asyncio.Task[Any]) -> None:
        """The node has not answered in time: whatever it still does about it must end in having left."""
        if node.process.killed:
            return

        async def undo() -> None:
            await asyncio.wait([task])
            _look_away(task)
            await node.leave(session, broke=True)

        node.process.start(undo())

    async def _go_away(self) -> None:
        session = self.session
        assert session is not None
        self._remember_position()
        broke = self.rng.random() < 0.7
        if not broke:
            self.position = None
        task = session.node.process.start(session.node.leave(session, broke=broke))
        task.add_done_callback(_look_away)
        await asyncio.wait([task], timeout=ANSWER_SECONDS)
        await asyncio.sleep(self.rng.choice((0.01, 0.5, 3.0, 12.0)))

    # --- Commands -----------------------------------------------------------------------------------------

    async def _do_something(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.unanswered is None or now > self.repeated_until:
            self.unanswered, self.first_answer = self._new_command(), None
            self.repeated_until = now + REPEAT_SECONDS
        command, command_id = self.unanswered
        repeats = 2 if self.rng.random() < 0.05 else 1
        for attempt in range(TRIES):
            session = self.session
            if session is None or not self.is_connected:
                return
            self.operations += 1
            losses = self.ledger.losses
            tasks = [
                session.node.process.start(session.node.perform(session, command, command_id))
                for _ in range(repeats)
            ]
            done, late = await asyncio.wait(tasks, timeout=ANSWER_SECONDS)
            for task in late:
                task.add_done_callback(_look_away)
            for task in done:
                _look_away(task)
            answered = [task for task in tasks if task in done and not task.cancelled()]
            answers = [task.result() for task in answered if task.exception() is None]
            if answers and not late:
                self._note(command, answers, losses)
                # Sometimes the answer is lost on its way to the client, and the command comes again.
                if self.rng.random() > 0.1:
                    self.unanswered = self.first_answer = None
                return
            await asyncio.sleep(self.rng.uniform(0.01, 0.3) * (attempt + 1))

    def _new_command(self) -> tuple[Any, str]:
        self.serial += 1
        command_id = f"{self.user_id}-{self.serial}"
        return self._random_command(command_id), command_id

    def _note(self, command: Any, answers: list[Answer], losses: int) -> None:
        first = answers[0]
        if any(type(answer) is not type(first) for answer in answers):
            raise Violation(f"one command, different answers: {answers}")
        before = self.first_answer
        self.first_answer = first, losses
        if before is not None:
            kept = isinstance(before[0], Done) or before[0].code.retry != "later"
            if kept and isinstance(first, Done) and before[1] == self.ledger.losses and before[0] != first:
                raise Violation(f"answered {before[0]} first and {first} later")
            return
        if not isinstance(first, Done):
            self.refused += 1
            return
        self.acknowledged += 1
        if isinstance(command, c.ChatSend) and losses == self.ledger.losses:
            self.promised.append((command.text, first.epoch, first.data["seq"], losses))

    def _random_command(self, command_id: str) -> Any:
        rng, other = self.rng, self.rng.choice(self.others)
        index = rng.randint(-1, 5)
        room = self.session.node.kernel.followers.view(self.room_id) if self.session else None
        requests = [one.request_id for one in room.room.requests] if room else []
        invites = [one.invite_id for one in room.room.invites] if room else []
        make = rng.choice(
            (
                lambda: c.SeatTake(index=index),
                lambda: c.SeatTake(index=index),
                c.SeatLeave,
                lambda: c.SeatMove(index=index),
                lambda: c.MicSet(muted=rng.random() < 0.5),
                lambda: c.ChatSend(text=command_id),
                lambda: c.ChatSend(text=command_id),
                lambda: c.SeatRequest(index=index),
                lambda: c.SeatRespondRequest(
                    request_id=rng.choice(requests or ["none"]), accept=rng.random() < 0.7
                ),
                lambda: c.SeatInvite(user_id=other, index=max(0, index), timeout_ms=rng.choice((1000, 5000))),
                lambda: c.SeatRespondInvite(
                    invite_id=rng.choice(invites or ["none"]), accept=rng.random() < 0.7
                ),
                lambda: c.SeatKick(user_id=other, cooldown_s=rng.choice((0, 1))),
                lambda: c.SeatMoveUser(
                    user_id=other, index=max(0, index), policy=rng.choice(("abort", "replace", "swap"))
                ),
                lambda: c.SeatLock(index=rng.choice((max(0, index), "all")), locked=rng.random() < 0.4),
                lambda: c.SeatMute(index=rng.choice((max(0, index), "all")), muted=rng.random() < 0.5),
                lambda: c.MicMuteUser(user_id=other, muted=rng.random() < 0.5),
                lambda: c.RoomUpdate(
                    seat_mode=rng.choice(("free", "free", "request")), seat_count=rng.choice((4, 5, 6))
                ),
                lambda: c.ModMuteChat(user_id=other, muted=rng.random() < 0.3, duration_s=1),
                lambda: _gift(command_id, self.actor, other, rng.choice(("rose", "crown"))),
            )
        )
        return make()


def _look_away(task: asyncio.Task[Any]) -> None:
    """Nobody waits for this answer any more, or there was none: that is all that may have happened to it."""
    failure = None if task.cancelled() else task.exception()
    if failure is not None and not isinstance(failure, Unavailable):
        raise failure


def _gift(transaction_id: str, sender: Actor, recipient: str, gift_id: str) -> c.AnnounceGift:
    """A gift as the relay announces it."""
    return c.AnnounceGift(
        transaction_id=transaction_id,
        sender=Profile(sender.user_id),
        gift=c.GiftShown(gift_id, gift_id, "", "", 10),
        quantity=1,
        recipients=[recipient],
        total_cost=10,
        combo_window_ms=3000,
    )
