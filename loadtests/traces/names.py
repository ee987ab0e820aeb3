"""Aliases of a trace and the ids of one replay of one room.

Ids that clients make (users, rooms, keys) are known beforehand. Ids that the server makes (messages,
requests, invites, transactions) are learnt by laying the recorded ack beside the new one: where both have a
string under the same id field, they name the same thing. A command that needs an id not learnt yet waits.
"""

import asyncio
from typing import Any

from loadtests.traces.format import Fields
from loadtests.traces.pseudonyms import ID_FIELDS, KEPT_IDS
from loadtests.traffic.world import owner_of

# Made by clients: (letter of the alias) known before the replay starts.
CLIENT_MADE = frozenset({"u", "r", "k"})
ROOM_PASSWORD = "replayed-password"


class Names:
    """The two directions, for one copy of one room."""

    def __init__(self, room: str, copy_id: str, owner: str):
        self.copy_id = copy_id
        self.room_id = f"replay-{copy_id}-{room}"
        self.known: dict[str, str] = {room: self.room_id}
        self.aliases: dict[str, str] = {self.room_id: room}
        self.waiting: dict[str, asyncio.Event] = {}
        self.owner_id = self.user(owner) if owner else owner_of(self.room_id)

    def user(self, alias: str) -> str:
        return self.of("u", alias)

    def of(self, letter: str, alias: str) -> str:
        """The id here; a client-made one comes into being, a server-made one not learnt stays its alias."""
        known = self.known.get(alias)
        if known is None and letter in CLIENT_MADE:
            known = f"{alias}-{self.copy_id}"[:64]
            self.bind(alias, known)
        return alias if known is None else known

    def bind(self, alias: str, identifier: str) -> None:
        self.known[alias] = identifier
        self.aliases[identifier] = alias
        waiting = self.waiting.pop(alias, None)
        if waiting is not None:
            waiting.set()

    def learn(self, recorded: Any, actual: Any, field: str = "") -> None:
        """Lay a recorded body beside the new one and keep what they say of ids."""
        if isinstance(recorded, dict) and isinstance(actual, dict):
            for key, value in recorded.items():
                self.learn(value, actual.get(key), key)
        elif isinstance(recorded, list) and isinstance(actual, list):
            for one, other in zip(recorded, actual, strict=False):
                self.learn(one, other, field)
        elif isinstance(recorded, str) and isinstance(actual, str) and self._is_open(recorded, field):
            self.bind(recorded, actual)

    def unknown(self, value: Any, field: str = "") -> list[str]:
        """Aliases of server-made ids in a command that nothing has taught us yet."""
        if isinstance(value, dict):
            return [alias for key, entry in value.items() for alias in self.unknown(entry, key)]
        if isinstance(value, list):
            return [alias for entry in value for alias in self.unknown(entry, field)]
        return [value] if isinstance(value, str) and self._is_open(value, field) else []

    def _is_open(self, value: str, field: str) -> bool:
        """A server-made id whose meaning here is not known yet."""
        server_made = _is_id_field(field) and ID_FIELDS.get(field, "x") not in CLIENT_MADE
        return server_made and value not in self.known

    async def learnt(self, aliases: list[str], seconds: float) -> None:
        """Wait until these are known, but not for ever: the recording may have asked for what never was."""
        for alias in aliases:
            if alias not in self.known:
                event = self.waiting.setdefault(alias, asyncio.Event())
                try:
                    async with asyncio.timeout(seconds):
                        await event.wait()
                except TimeoutError:
                    return

    def here(self, value: Any, field: str = "") -> Any:
        """A recorded body with the ids of this replay."""
        if isinstance(value, dict):
            return {key: self.here(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.here(entry, field) for entry in value]
        if isinstance(value, str) and _is_id_field(field):
            return self.of(ID_FIELDS.get(field, "x"), value)
        return value

    def back(self, value: Any, field: str = "") -> Any:
        """A body of this replay with the aliases of the trace, where they are known."""
        if isinstance(value, dict):
            return {key: self.back(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.back(entry, field) for entry in value]
        return self.aliases.get(value, value) if isinstance(value, str) and _is_id_field(field) else value


def _is_id_field(field: str) -> bool:
    return (field in ID_FIELDS or field.endswith("_id")) and field not in KEPT_IDS


def fields_here(names: Names, name: str, fields: Any, answer: Fields | None, token: str) -> Any:
    """The fields of a recorded command as they have to be sent here. Tokens and passwords were struck out
    by the recording: the token is the replaying user's own, a password right or wrong as it was then."""
    if not isinstance(fields, dict):
        return fields
    told = names.here(fields)
    if "token" in told:
        told["token"] = token
    if told.get("password") is not None:
        code = ((answer or {}).get("error") or {}).get("code")
        wrong = name == "room:join" and code == "PASSWORD_WRONG"
        told["password"] = "wrong-password" if wrong else ROOM_PASSWORD
    return told
