"""What a scenario needs before its first user arrives: rooms, tokens, a gift, coins. Made over REST, timed
apart from the run. After the run the same REST says whether the money is right.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Iterable
from typing import Any

from loadtests.clients.conversation import Fields
from loadtests.clients.rest import RestCalls
from loadtests.measures import Measures
from loadtests.traffic.behaviours import SPENDERS
from loadtests.traffic.scenario import Group, Scenario, Stay, entropy, interleaved, stays
from loadtests.traffic.steps import User

AT_ONCE = 32


async def gather_bounded(jobs: Iterable[Awaitable[Any]], at_once: int = AT_ONCE) -> list[Any]:
    gate = asyncio.Semaphore(at_once)

    async def one(job: Awaitable[Any]) -> Any:
        async with gate:
            return await job

    return await asyncio.gather(*(one(job) for job in jobs))


def owner_of(room_id: str) -> str:
    return f"owner-{room_id}"


def room_ids(scenario: Scenario, run_id: str) -> list[str]:
    return [f"load-{run_id}-{number}" for number in range(scenario.rooms.count)]


def new_run_id() -> str:
    """Part of every id of a run, so that runs against one server never meet."""
    return secrets.token_hex(4)


def room_fields(scenario: Scenario, room_id: str, owner_id: str) -> Fields:
    """The body of `POST /v1/rooms` for a room of this run."""
    room_for_all = max(1000, scenario.user_count * 2)
    fields = {"room_id": room_id, "owner_id": owner_id, "name": scenario.title, "capacity": room_for_all}
    return fields | scenario.rooms.settings


def gift_fields(scenario: Scenario) -> Fields:
    return {
        "name": "Load rose",
        "price": scenario.money.price,
        "category": "load",
        "rarity": "common",
        "animation_url": "https://example.com/rose.json",
        "thumbnail_url": "https://example.com/rose.png",
        "combo": True,
        "combo_window_ms": 3000,
        "is_active": True,
    }


async def make_rooms(scenario: Scenario, rest: RestCalls, run_id: str) -> None:
    """The rooms and the gift: shared by all processes of a run, made by one of them."""
    for room in room_ids(scenario, run_id):
        await rest.required("POST", "/v1/rooms", room_fields(scenario, room, owner_of(room)))
    await rest.required("PUT", f"/v1/gifts/{scenario.money.gift_id}", gift_fields(scenario))


def _user(
    scenario: Scenario, run_id: str, room: str, place: tuple[int, Group, int, Stay], service_key: str
) -> User:
    index, group, number, stay = place
    return User(
        user_id=f"{group.behaviour}-{run_id}-{index}",
        room_id=room,
        owner_id=owner_of(room),
        token="",
        group=group,
        number=number,
        random=entropy(scenario, index),
        gift_id=scenario.money.gift_id,
        service_key=service_key,
        arrives=stay.arrives,
        leaves=stay.leaves,
    )


def people(scenario: Scenario, run_id: str, service_key: str, part: tuple[int, int] = (0, 1)) -> list[User]:
    """The users of a run; `part` (k, n) gives every n-th one from the k-th, for one process of n."""
    rooms = room_ids(scenario, run_id)
    users = [
        _user(scenario, run_id, rooms[number % len(rooms)], (index, group, number, stay), service_key)
        for index, ((group, number), stay) in enumerate(
            zip(interleaved(scenario), stays(scenario), strict=False)
        )
    ]
    by_room: dict[tuple[str, str], list[str]] = {}
    for user in users:
        by_room.setdefault((user.room_id, user.group.behaviour), []).append(user.user_id)
    for user in users:
        user.others = _acquaintances(by_room, user.room_id, user.random)
    return users[part[0] :: part[1]]


def _acquaintances(by_room: dict[tuple[str, str], list[str]], room: str, chance: random.Random) -> Any:
    def pick(behaviour: str) -> str | None:
        known = by_room.get((room, behaviour))
        return chance.choice(known) if known else None

    return pick


async def equip(scenario: Scenario, rest: RestCalls, user: User) -> None:
    """A token, and coins for a spender."""
    user.token = await rest.token(user.room_id, user.user_id, user.group.role, name=user.user_id)
    if user.group.behaviour in SPENDERS:
        why = {"reason": "load test", "reference": f"load-{user.user_id}"}
        credit = {"amount": scenario.money.coins, "currency": "coins", **why}
        await rest.required("POST", f"/v1/users/{user.user_id}/credits", credit, f"credit-{user.user_id}")


async def settle_money(scenario: Scenario, rest: RestCalls, user: User, measures: Measures) -> None:
    """After the run: a gifter's wallet against what was acknowledged."""
    if user.group.behaviour != "gifter":
        return
    wallet = await rest.required("GET", f"/v1/users/{user.user_id}/wallet")
    expected, found = scenario.money.coins - user.spent_coins, int(wallet["coins"])
    measures.counters["money_differences"] += expected != found
    if expected != found:
        measures.problems[f"wallet {user.user_id}"] = f"expected {expected} coins, found {found}"
