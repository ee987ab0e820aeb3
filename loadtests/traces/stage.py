"""What a replay needs before its first deed: copies of the rooms as they were, tokens, gifts, coins, and a
watcher in each room when answers are compared."""

from typing import Any

from loadtests.clients.rest import Rest
from loadtests.clients.streams import Connection
from loadtests.traces.format import Fields
from loadtests.traces.names import ROOM_PASSWORD, Names
from loadtests.traces.plan import Arrive, Plan, RoomPlan
from loadtests.traces.replay import WATCHER, Pace, RoomReplay
from loadtests.traffic.observing import Stage
from loadtests.traffic.world import gather_bounded

# Of a snapshot's settings, what cannot be set.
DERIVED_SETTINGS = frozenset({"has_password"})
# A wallet of which the trace does not say what was in it.
UNKNOWN_COINS = 1_000_000


async def make_gifts(rest: Rest, gifts: list[Fields]) -> None:
    """Gifts of the trace that the server does not have. Those it has stay as they are."""
    present = {gift["gift_id"] for gift in (await rest.required("GET", "/v1/gifts")).get("gifts", [])}
    for gift in gifts:
        if gift["gift_id"] not in present:
            fields = {key: value for key, value in gift.items() if key != "gift_id" and value is not None}
            await rest.required("PUT", f"/v1/gifts/{gift['gift_id']}", fields)


def _room_fields(plan: RoomPlan, names: Names) -> Fields:
    settings = {key: value for key, value in plan.start.settings.items() if key not in DERIVED_SETTINGS}
    # A replay adds a watcher: a room that was full then must have a place more.
    if "capacity" in settings:
        settings["capacity"] += 1
    fields = {"room_id": names.room_id, "owner_id": names.owner_id, **settings}
    if plan.start.settings.get("has_password"):
        fields["password"] = ROOM_PASSWORD
    return fields


async def make_room(
    rest: Rest, stage: Stage, plan: Plan, room: RoomPlan, copy: str, pace: Pace
) -> RoomReplay:
    """One copy of one room, with everybody's token and money."""
    names = Names(room.room, copy, room.start.owner)
    await rest.required("POST", "/v1/rooms", _room_fields(room, names))
    tokens: dict[str, str] = {}

    async def equip(user: str, role: str) -> None:
        user_id = names.user(user)
        tokens[user] = await rest.token(names.room_id, user_id, _token_role(role), name=user)
        coins = plan.users[user][1]
        if coins:
            why = {"reason": "replay", "reference": f"replay-{user_id}"}
            credit = {"amount": coins, "currency": "coins", **why}
            await rest.required("POST", f"/v1/users/{user_id}/credits", credit, f"replay-{user_id}")

    users = {deed.user: deed.role for deed in reversed(room.deeds) if isinstance(deed, Arrive)}
    await gather_bounded(equip(user, role) for user, role in users.items())
    replay = RoomReplay(stage, room, names, tokens, pace)
    if pace.check:
        await _watch(rest, stage, replay)
    await _seat_standing(rest, replay)
    return replay


def _token_role(role: str) -> str:
    """The owner is the owner by the room, whatever the token says."""
    return role if role in ("admin", "member", "guest") else "member"


async def _watch(rest: Rest, stage: Stage, replay: RoomReplay) -> None:
    user_id = f"{WATCHER}-{replay.names.copy_id}"
    token = await rest.token(replay.names.room_id, user_id, "admin", name=WATCHER)
    connection = Connection(stage.url, token, replay.watcher)
    await connection.connect()
    fields = {"password": ROOM_PASSWORD} if replay.plan.start.settings.get("has_password") else {}
    answer = await connection.call("room:join", fields)
    if not answer.get("ok"):
        raise RuntimeError(f"the watcher was refused: {answer}")
    replay.keep(connection)


async def _seat_standing(rest: Rest, replay: RoomReplay) -> None:
    """Who was there when the recording began is there again: connected and joined, seated and waiting as
    they were; seats are locked and muted as they were."""
    standing = {deed.user: deed for deed in replay.plan.deeds if isinstance(deed, Arrive) and deed.standing}
    for deed in standing.values():
        await replay.arrive_standing(deed)
    path = f"/v1/rooms/{replay.names.room_id}/commands"

    async def command(name: str, fields: Fields, user: str | None = None) -> Any:
        body: dict[str, Any] = {"command": name, "fields": fields}
        if user is not None:
            body["as_user"] = replay.names.user(user)
        response = await rest.service("POST", path, body)
        return response.body["data"].get("data") if response.succeeded else None

    start = replay.plan.start.snapshot
    for seat in start.get("seats", ()):
        await _furnish(replay, seat, standing, command)
    for request in start.get("requests", ()):
        if request["user"]["user_id"] in standing:
            fields = {"index": request["index"], "note": request["note"]}
            replay.names.learn(request, await command("seat:request", fields, request["user"]["user_id"]))
    # What the furnishing made happen is not what the trace waits for.
    replay.watcher.seen.clear()


async def _furnish(replay: RoomReplay, seat: Fields, standing: dict[str, Arrive], command: Any) -> None:
    sitter = seat["user"]["user_id"] if seat["user"] else None
    if sitter in standing:
        await command("seat:take", {"index": seat["index"]}, sitter)
        if seat["mic"] and seat["mic"]["self_muted"]:
            await command("mic:set", {"muted": True}, sitter)
        if seat["mic"] and seat["mic"]["admin_muted"]:
            await command("mic:mute_user", {"user_id": replay.names.user(sitter), "muted": True})
    for name, flag in (("seat:mute", "muted"), ("seat:lock", "locked")):
        if seat[flag]:
            await command(name, {"index": seat["index"], flag: True})
