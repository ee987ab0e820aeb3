"""Behaviours are scripts without I/O: played here by hand, every command they ask for is a valid one."""

import random
from typing import Any

import pytest

from loadtests.traffic.behaviours import BEHAVIOURS, script_of
from loadtests.traffic.scenario import Group
from loadtests.traffic.steps import Call, Connect, Drop, Leave, Outcome, Send, Step, Tell, User, Wait
from state.commands import COMMAND_TYPES
from state.rejections import Rejection
from state.wire import decode_command

STEPS = 400
DATA: dict[str, Any] = {
    "gift:send": {"transaction_id": "t", "total_cost": 10, "replayed": False, "balance": 5},
    "seat:request": {"request_id": "request", "position": 1, "expires_at": 2},
    "seat:invite": {"invite_id": "invite", "expires_at": 2},
    "chat:send": {"message_id": "message", "seq": 3},
    "room:join": {"epoch": "e", "seq": 1},
}


def user_of(behaviour: str) -> User:
    return User(
        user_id="user",
        room_id="room",
        owner_id="owner",
        token="token" * 8,
        group=Group(behaviour, 10, every_seconds=1.0),
        number=3,
        random=random.Random(1),
        gift_id="rose",
        service_key="key",
        leaves=1000.0,
    )


def steps_of(behaviour: str, chance: random.Random) -> list[Step]:
    """What the script asks for when things go well, refused now and then, and heard events come in."""
    user = user_of(behaviour)
    script = script_of(user)
    asked: list[Step] = []
    outcome: Outcome | None = None
    try:
        while len(asked) < STEPS:
            step = next(script) if outcome is None else script.send(outcome)
            asked.append(step)
            outcome = _outcome(step, chance)
            for name, key in (("seat:requested", "request"), ("seat:invited", "invite")):
                if name in user.wanted and chance.random() < 0.3:
                    user.heard.append((name, {key: {f"{key}_id": key}}))
    except StopIteration:
        pass
    script.close()
    return asked


def _outcome(step: Step, chance: random.Random) -> Outcome:
    if isinstance(step, Connect):
        return Outcome({"recovered": chance.random() < 0.5})
    if isinstance(step, Call):
        refused = step.reckoned and chance.random() < 0.2
        return Outcome({}, min(step.reckoned)) if refused else Outcome(DATA.get(step.name, {}))
    return Outcome()


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_every_command_a_behaviour_asks_for_is_valid(behaviour: str) -> None:
    asked = steps_of(behaviour, random.Random(7))
    assert asked
    for step in asked:
        assert isinstance(step, Call | Connect | Drop | Leave | Send | Tell | Wait)
        if isinstance(step, Call):
            command = decode_command(step.name, step.fields)
            assert not isinstance(command, Rejection), (step, command)


def test_the_tour_says_everything_there_is_to_say() -> None:
    said = {step.name for step in steps_of("tourist", random.Random(7)) if isinstance(step, Call)}
    assert said == set(COMMAND_TYPES)


def test_a_paced_behaviour_acts_at_its_times_however_late_answers_come() -> None:
    dues = [step.due for step in steps_of("talker", random.Random(7)) if isinstance(step, Call)][1:]
    assert dues == [pytest.approx(0.3 + number) for number in range(len(dues))]
