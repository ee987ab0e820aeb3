"""Scenarios: read strictly, timed exactly, scaled in proportion."""

import pytest

from loadtests.traffic.behaviours import BEHAVIOURS
from loadtests.traffic.scenario import SHIPPED, Misdescribed, interleaved, load, parse, stays
from tests.loadtests.scenarios import MIXED, mixed

SHIPPED_NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_every_shipped_scenario_is_usable(name: str) -> None:
    scenario = load(name)
    assert scenario.name == name
    assert {group.behaviour for group in scenario.groups} <= BEHAVIOURS.keys()
    assert scenario.thresholds
    assert len(stays(scenario)) <= scenario.user_count


def test_the_loads_the_product_was_asked_to_pass_are_shipped() -> None:
    joins, gifts, chat, rest = (load(name) for name in ("joins", "gifts", "chat", "rest"))
    assert (joins.user_count, joins.phases[0].kind) == (1000, "burst")
    gifters = next(group for group in gifts.groups if group.behaviour == "gifter")
    assert gifters.users / gifters.every_seconds * 10 >= 500
    assert sum(group.users / group.every_seconds for group in chat.groups if group.every_seconds) == 100
    callers = rest.groups[0]
    assert callers.users / callers.every_seconds * 60 == pytest.approx(10_000)
    evening = load("evening")
    assert sum(group.users for group in evening.groups) == 1000
    assert next(group for group in evening.groups if group.behaviour == "speaker").users == 8


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"treshold": {}}, "treshold"),
        ({"groups": [{"behaviour": "talker", "users": -1}]}, "users"),
        ({"phases": [{"kind": "jump", "seconds": 1}]}, "kind"),
        ({"phases": [{"kind": "burst", "seconds": 1, "users": 31}]}, "31 users"),
        ({"thresholds": {"x.p95_ms": {"at_least": "many"}}}, "at_least"),
    ],
)
def test_what_is_misdescribed_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(Misdescribed, match=named):
        parse({**MIXED, **change})


def test_an_unknown_scenario_names_the_shipped_ones() -> None:
    with pytest.raises(Misdescribed, match="joins"):
        load("jions")


def test_users_come_evenly_in_a_ramp_and_at_once_in_a_burst() -> None:
    phases = [
        {"kind": "ramp", "users": 10, "seconds": 5},
        {"kind": "burst", "users": 30, "seconds": 2},
        {"kind": "ramp", "users": 20, "seconds": 10},
    ]
    found = stays(mixed(phases=phases))
    assert [stay.arrives for stay in found[:10]] == [number / 2 for number in range(10)]
    assert [stay.arrives for stay in found[10:]] == [5.0] * 20
    assert [stay.leaves for stay in found[:20]] == [17.0] * 20
    assert sorted(stay.leaves for stay in found[20:]) == [7.0 + number for number in range(10)]


def test_small_groups_come_early_and_everybody_comes() -> None:
    scenario = mixed()
    order = [(group.behaviour, number) for group, number in interleaved(scenario)]
    assert len(set(order)) == scenario.user_count
    assert order.index(("speaker", 0)) < 4


def test_scaling_keeps_rates_per_user_and_the_shape_of_phases() -> None:
    scenario = load("evening").scaled(users=0.1, time=0.5)
    assert scenario.user_count == pytest.approx(100, abs=5)
    assert scenario.phases[0].users == scenario.user_count
    assert scenario.seconds == load("evening").seconds / 2
    assert [g.every_seconds for g in scenario.groups] == [g.every_seconds for g in load("evening").groups]
