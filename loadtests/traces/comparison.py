"""Are two acks, two rooms the same, apart from what time and chance make different?

Compared after the ids of the replay were turned back into aliases. What is left out, and why: positions and
times (another run), balances and combos (they depend on pace), the snapshot inside a join's ack (the end
state of the room is compared whole), lists of people and the capacity (the watcher is one more).
"""

from typing import Any

from loadtests.traces.format import Fields

PASSING = frozenset(
    {
        "at",
        "balance",
        "capacity",
        "combo",
        "created_at",
        "ends_at",
        "epoch",
        "events",
        "expires_at",
        "members",
        "next_cursor",
        "online",
        "position",
        "resumed",
        "seq",
        "snapshot",
        "t0",
        "t1",
        "t2",
        "total",
        "until",
        "etag",
        "entries",
        "avatar",
        "coins",
        "diamonds",
        "gifts",
    }
)
# What a token says of a person: the tokens of a replay are its own.
PERSONAL = frozenset({"name", "level", "vip"})
# A seat may be marked away a moment later than it was then; the end state of the room has the last word.
ROOM_PARTS = ("owner_id", "settings", "seats", "requests")


def essence(value: Any) -> Any:
    if isinstance(value, dict):
        passing = PASSING | PERSONAL if "user_id" in value else PASSING
        return {key: essence(entry) for key, entry in value.items() if key not in passing}
    return [essence(entry) for entry in value] if isinstance(value, list) else value


def ack_difference(recorded: Fields, actual: Fields) -> str | None:
    """In words what differs; None when the answers mean the same."""
    if bool(recorded.get("ok")) != bool(actual.get("ok")):
        return f"was {_short(recorded)}, is {_short(actual)}"
    if not recorded.get("ok"):
        codes = [(body.get("error") or {}).get("code") for body in (recorded, actual)]
        return None if codes[0] == codes[1] else f"was refused with {codes[0]}, is with {codes[1]}"
    return difference(essence(recorded.get("data")), essence(actual.get("data")))


def room_differences(recorded: Fields, actual: Fields, chat_count: int) -> list[str]:
    """The end states of a room, part by part; of the chat only what was said during the trace."""
    found = []
    for part in ROOM_PARTS:
        told = difference(essence(recorded.get(part)), essence(actual.get(part)))
        if told is not None:
            found.append(f"{part}{told}")
    was, now = (_chat(body, chat_count) for body in (recorded, actual))
    told = difference(was, now)
    return [*found, f"chat{told}"] if told is not None else found


def _chat(room: Fields, count: int) -> list[Any]:
    return [essence(message) for message in (room.get("chat") or [])[-count:]] if count else []


def difference(recorded: Any, actual: Any, path: str = "") -> str | None:
    """The first place at which two plain values differ."""
    if isinstance(recorded, dict) and isinstance(actual, dict):
        for key in sorted(recorded.keys() | actual.keys()):
            told = difference(recorded.get(key), actual.get(key), f"{path}.{key}")
            if told is not None:
                return told
        return None
    if isinstance(recorded, list) and isinstance(actual, list) and len(recorded) == len(actual):
        places = enumerate(zip(recorded, actual, strict=True))
        told_all = (difference(one, other, f"{path}[{number}]") for number, (one, other) in places)
        return next((told for told in told_all if told is not None), None)
    return None if recorded == actual else f"{path}: was {_short(recorded)}, is {_short(actual)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:200] + "..."
