"""Bugs planted on purpose: each must be found, or the simulation would not deserve its trust.

A mutation changes the text of a script or one function of the kernel, for the length of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import msgspec

from state import audience, following, reaper, recovery, rooms, store
from state.events import SeatChanged
from state.ports import Done
from state.transitions import seats
from tests.model.server import shipped_scripts


class ScriptMutation(msgspec.Struct, frozen=True):
    """A script in which one piece of text was replaced."""

    script: str
    before: str
    after: str

    @contextmanager
    def planted(self) -> Iterator[dict[str, str]]:
        scripts = shipped_scripts()
        if self.before not in scripts[self.script]:
            raise AssertionError(f"{self.script}.lua has changed: plant {self.before!r} anew")
        yield scripts | {self.script: scripts[self.script].replace(self.before, self.after)}


class KernelMutation(msgspec.Struct, frozen=True):
    """A function of the kernel that was replaced; `make` gets the original."""

    owner: Any
    name: str
    make: Callable[[Any], Any]

    @contextmanager
    def planted(self) -> Iterator[dict[str, str]]:
        with mock.patch.object(self.owner, self.name, self.make(getattr(self.owner, self.name))):
            yield shipped_scripts()


def _ignores(_original: Any) -> Any:
    return lambda *_arguments, **_options: None


def _ignores_later(_original: Any) -> Any:
    async def nothing(*_arguments: Any, **_options: Any) -> None:
        """Does not do it."""

    return nothing


def _applies_across_gaps(_original: Any) -> Any:
    def take(self: Any, view: Any, batch: Any) -> None:
        if batch.last > view.seq:
            self._advance(view, batch.recorded(after=view.seq))

    return take


def _leaves_the_old_seat(original: Any) -> Any:
    def evolve(room: Any, recorded: Any) -> Any:
        event = recorded.event
        if isinstance(event, SeatChanged) and event.cause == "move" and len(event.seats) > 1:
            taken = tuple(seat for seat in event.seats if seat.user is not None)
            event = msgspec.structs.replace(event, seats=taken)
            recorded = msgspec.structs.replace(recorded, event=event)
        return original(room, recorded)

    return evolve


def _acknowledges_before_the_commit(original: Any) -> Any:
    async def commit(self: Any, room_id: str, mailbox: Any, batch: Any) -> None:
        base = self._newest(room_id, mailbox)
        if base is not None:
            _change, answers = self._fold(base, batch)
            for pending, answer in zip(batch, answers, strict=True):
                if isinstance(answer, Done):
                    self._settle(mailbox, pending, answer)
        await original(self, room_id, mailbox, batch)

    return commit


def _takes_anew_without_a_word(_original: Any) -> Any:
    async def taken_anew(self: Any, view: Any) -> bool:
        loaded = await self._store.load(view.room.room_id, 50)
        if not isinstance(loaded, store.Loaded):
            return False
        view.room, view.chat, view.head = loaded.room, loaded.chat, loaded.room.seq
        return True

    return taken_anew


def _goes_on_after_a_loss(_original: Any) -> Any:
    async def step(*_arguments: Any, **_options: Any) -> bool:
        return True

    return step


MUTATIONS: dict[str, ScriptMutation | KernelMutation] = {
    "a commit does not compare positions": ScriptMutation(
        "commit", "local late = held[1] ~= ARGV[2] or held[2] ~= ARGV[3]", "local late = false"
    ),
    "a commit compares epochs only": ScriptMutation(
        "commit", "local late = held[1] ~= ARGV[2] or held[2] ~= ARGV[3]", "local late = held[1] ~= ARGV[2]"
    ),
    "a commit forgets to append": ScriptMutation(
        "commit", "redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[10], ARGV[6] .. '-0', 'c', ARGV[8])", ""
    ),
    "a commit does not remember commands": ScriptMutation("commit", "if answer ~= '' then", "if false then"),
    "a commit does not look for known commands": ScriptMutation(
        "commit", "if #KEYS > 4 then", "if false then"
    ),
    "a commit ignores that the server was replaced": ScriptMutation(
        "commit", "if held[3] ~= ARGV[1] then", "if false then"
    ),
    "a restored room keeps its epoch": ScriptMutation("restore", "'epoch', ARGV[4]", "'epoch', claim[1]"),
    "a restored room loses its last event": ScriptMutation(
        "restore", "'seq', claim[2]", "'seq', tostring(tonumber(claim[2]) - 1)"
    ),
    "entering again counts again": ScriptMutation(
        "enter", "ARGV[4], ARGV[5]) == 1", "ARGV[4], ARGV[5]) >= 0"
    ),
    "whoever sits may sit again": KernelMutation(seats, "seat_of", _ignores),
    "departing does not count": ScriptMutation("depart", "KEYS[3], ARGV[5], -1)", "KEYS[3], ARGV[5], 0)"),
    "reaping leaves the members": ScriptMutation("reap", "redis.call('ZREM', KEYS[1], user)", ""),
    "a node applies across gaps": KernelMutation(following.Followers, "_take", _applies_across_gaps),
    "a node does not repair after a reconnect, nor look": KernelMutation(
        following.Followers, "_mend", _ignores
    ),
    "a node takes a room anew without a word": KernelMutation(
        following.Followers, "_taken_anew", _takes_anew_without_a_word
    ),
    "a move leaves the old seat taken": KernelMutation(rooms, "evolve", _leaves_the_old_seat),
    "an answer comes before the commit": KernelMutation(
        rooms.Rooms, "_commit", _acknowledges_before_the_commit
    ),
    "a lost room is not restored": KernelMutation(recovery.Recovery, "_step", _goes_on_after_a_loss),
    "members are not said again after a loss": KernelMutation(audience.Audience, "assert_room", _ignores),
    "nobody is reaped": KernelMutation(reaper.Reaper, "look", _ignores_later),
    "a fenced node keeps its users": KernelMutation(audience.Audience, "on_fenced", _ignores),
}
