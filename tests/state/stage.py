"""A room to act in without any server: decides, evolves, and keeps what happened."""

from __future__ import annotations

from typing import Any

from state import commands as c
from state.events import Event, Recorded, Settings
from state.identity import SYSTEM, Actor, Profile, Role
from state.rejections import Code, Rejection
from state.room import Room, profile_of, seats_of
from state.transitions import Decision, Facts, decide, evolve, target_of

START_MS = 1_000_000


def actor(user_id: str, role: Role = "member", **fields: Any) -> Actor:
    return Actor(user_id=user_id, role=role, name=user_id.title(), **fields)


OWNER = actor("owner", "owner")
ADMIN = actor("admin", "admin")
ANN, BEN, CAT = actor("ann"), actor("ben"), actor("cat")
GUEST = actor("guest", "guest")
EVERYBODY = (OWNER, ADMIN, ANN, BEN, CAT, GUEST)


def new_room(**settings: Any) -> Room:
    chosen = Settings(name="Room", **settings)
    return Room(
        room_id="room",
        owner_id="owner",
        settings=chosen,
        seats=seats_of(chosen.seat_count),
        created_at=START_MS,
        epoch="e1",
    )


class Stage:
    """One room and its clock. Everybody is present unless taken out."""

    def __init__(self, room: Room | None = None) -> None:
        self.room = new_room() if room is None else room
        self.now = START_MS
        self.present: dict[str, Actor] = {one.user_id: one for one in EVERYBODY}
        self.happened: list[Recorded] = []

    def facts(self, command: c.AnyCommand) -> Facts:
        target = target_of(self.room, command)
        known = None if target is None else self.present.get(target)
        password = getattr(command, "password", None)
        return Facts(
            target=None if known is None else _profile(self.room, known),
            password_hash=f"hash of {password}" if password else password,
        )

    def do(self, who: Actor, command: c.AnyCommand, facts: Facts | None = None) -> Decision | Rejection:
        outcome = decide(self.room, command, who, self.now, facts or self.facts(command))
        if isinstance(outcome, Decision):
            by = None if who.system else who.user_id
            for event in outcome.events:
                recorded = Recorded(self.room.epoch, self.room.seq + 1, self.now, by, event)
                self.room = evolve(self.room, recorded)
                self.happened.append(recorded)
        return outcome

    def done(self, who: Actor, command: c.AnyCommand) -> tuple[Event, ...]:
        """Do it, which must succeed; the events."""
        outcome = self.do(who, command)
        assert isinstance(outcome, Decision), outcome
        return outcome.events

    def reply(self, who: Actor, command: c.AnyCommand) -> dict[str, Any]:
        """Do it, which must succeed; what the acknowledgement says."""
        outcome = self.do(who, command)
        assert isinstance(outcome, Decision), outcome
        return outcome.reply

    def refused(self, who: Actor, command: c.AnyCommand) -> Code:
        """Do it, which must be refused; the code."""
        outcome = self.do(who, command)
        assert isinstance(outcome, Rejection), outcome
        return outcome.code

    def wait(self, milliseconds: int) -> tuple[Event, ...]:
        """Let time pass and its work be done."""
        self.now += milliseconds
        return self.done(SYSTEM, c.ExpireDue())

    def sits(self, index: int) -> str | None:
        user = self.room.seats[index].user
        return None if user is None else user.user_id


def _profile(room: Room, who: Actor) -> Profile:
    return profile_of(room, who)
