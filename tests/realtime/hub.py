"""A kernel in memory for tests of the gateway: real transitions, no servers, several nodes on one hub.

Streams are lists, deliveries happen one loop turn later, and a test can cut the whole hub off
(`hub.unavailable = True`) or hold back what a node hears (`node.deaf = True`).
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from msgspec.structs import replace

from state.audience import Joined, MembersPage
from state.commands import AnnounceMembers, AnyCommand, Departure, MarkAway, MarkBack, ReleaseUser
from state.events import ChatMessage, Recorded, Settings
from state.following import RoomListener, RoomView
from state.identity import SYSTEM, Actor, Profile
from state.inbox import InboxListener, Letter
from state.ports import Answer, Done
from state.rejections import Code, Rejection, Unavailable
from state.room import Message, Room, message_of, seats_of, snapshot
from state.server import Value
from state.signals import SignalHandler
from state.transitions import Facts, decide, evolve, target_of


class View:
    """A node's copy."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.chat: tuple[Message, ...] = ()

    @property
    def epoch(self) -> str:
        return self.room.epoch

    @property
    def seq(self) -> int:
        return self.room.seq

    def snapshot(self, viewer: Actor) -> dict[str, Any]:
        return snapshot(self.room, viewer, self.chat)


class Hub:
    """What Redis is to real nodes."""

    def __init__(self) -> None:
        self.unavailable = False
        self.rooms: dict[str, Room] = {}
        self.streams: dict[str, list[Recorded]] = {}
        self.nodes: dict[str, HubNode] = {}
        # room id -> connection id -> profile
        self.members: dict[str, dict[str, Profile]] = {}
        self.inboxes: dict[str, list[Letter]] = {}
        self.keys: dict[str, bytes] = {}
        # kept sessions: owner and record by key
        self.kept: dict[str, tuple[bytes, bytes]] = {}

    def node(self, node_id: str) -> HubNode:
        self.nodes[node_id] = HubNode(self, node_id)
        return self.nodes[node_id]

    def create(self, room_id: str, owner_id: str = "owner", **settings: Any) -> Room:
        chosen = Settings(**settings)
        room = Room(room_id, owner_id, chosen, seats_of(chosen.seat_count), 0, epoch="e1")
        self.rooms[room_id], self.streams[room_id] = room, []
        return room

    async def reach(self) -> None:
        await asyncio.sleep(0)
        if self.unavailable:
            raise Unavailable("the hub is cut off")

    def perform(self, room_id: str, actor: Actor, command: AnyCommand) -> Answer:
        room = self.rooms.get(room_id)
        if room is None:
            return Rejection(Code.ROOM_NOT_FOUND)
        now_ms = time.time_ns() // 1_000_000
        target = target_of(room, command)
        profiles = self.members.get(room_id, {}).values()
        facts = Facts(target=next((one for one in profiles if one.user_id == target), None))
        decision = decide(room, command, actor, now_ms, facts)
        if isinstance(decision, Rejection):
            return decision
        for event in decision.events:
            by = None if actor.system else actor.user_id
            recorded = Recorded(room.epoch, room.seq + 1, now_ms, by, event)
            room = evolve(room, recorded)
            self.streams[room_id].append(recorded)
        self.rooms[room_id] = room
        self.ring()
        return Done(decision.reply, room.epoch, room.seq)

    def ring(self) -> None:
        for node in self.nodes.values():
            asyncio.get_running_loop().call_soon(node.catch_up)

    def reset(self, room_id: str) -> None:
        """The room lost its history and goes on under a new epoch."""
        room = self.rooms[room_id]
        self.rooms[room_id] = replace(room, epoch=f"{room.epoch}x", seq=0)
        self.streams[room_id] = []
        self.ring()


class HubNode:
    """All ports of the kernel for one node."""

    def __init__(self, hub: Hub, node_id: str) -> None:
        self.hub, self.node_id = hub, node_id
        self.deaf = False
        self.listeners: dict[str, list[RoomListener]] = {}
        self.views: dict[str, View] = {}
        self.readers: dict[str, tuple[InboxListener, int]] = {}
        self.handlers: dict[str, SignalHandler] = {}
        self.fenced: Callable[[], None] | None = None

    def kernel(self) -> Any:
        """A `realtime.parts.Kernel`, as far as the gateway uses it."""
        return SimpleNamespace(
            server=self,
            rooms=self,
            followers=self,
            audience=self,
            inbox=Inboxes(self),
            signals=self,
        )

    # -- Server --------------------------------------------------------------------------------------------

    async def execute(self, *command: Value) -> Any:
        await self.hub.reach()
        keys, name, key = self.hub.keys, command[0], str(command[1])
        before = keys.get(key)
        if name == "SET":
            if ("XX" in command and before is None) or ("NX" in command and before is not None):
                return before if "GET" in command else None
            value = command[2]
            keys[key] = value if isinstance(value, bytes) else str(value).encode()
            return before if "GET" in command else b"OK"
        if name == "DEL":
            return int(keys.pop(key, None) is not None or self.hub.kept.pop(key, None) is not None)
        if name == "GET":
            return before
        assert name == "EXPIRE", command
        return int(before is not None)

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        """As the scripts of these names do."""
        await self.hub.reach()
        kept, owner = self.hub.kept, str(arguments[0]).encode()
        held = kept.get(keys[0])
        if name == "session_claim":
            if held is None:
                return []
            kept[keys[0]] = owner, held[1]
            return [held[1], held[0]]
        assert name == "session_save", name
        if arguments[3] == "0" and (held is None or held[0] != owner):
            return 0
        kept[keys[0]] = owner, bytes(arguments[1])  # type: ignore[arg-type]
        return 1

    # -- Rooms ---------------------------------------------------------------------------------------------

    async def perform(
        self, room_id: str, actor: Actor, command: AnyCommand, *, command_id: str | None = None
    ) -> Answer:
        await self.hub.reach()
        return self.hub.perform(room_id, actor, command)

    async def events_since(self, room_id: str, epoch: str, seq: int) -> list[Recorded] | None:
        await self.hub.reach()
        room = self.hub.rooms.get(room_id)
        if room is None or room.epoch != epoch or seq > room.seq:
            return None
        return [one for one in self.hub.streams[room_id] if one.seq > seq]

    # -- Followers -----------------------------------------------------------------------------------------

    async def watch(self, room_id: str, listener: RoomListener) -> View | None:
        await self.hub.reach()
        room = self.hub.rooms.get(room_id)
        if room is None:
            return None
        self.listeners.setdefault(room_id, []).append(listener)
        return self.views.setdefault(room_id, View(room))

    async def unwatch(self, room_id: str, listener: RoomListener) -> None:
        self.listeners[room_id].remove(listener)
        if not self.listeners[room_id]:
            del self.listeners[room_id], self.views[room_id]

    def view(self, room_id: str) -> View | None:
        return self.views.get(room_id)

    def catch_up(self) -> None:
        if self.deaf or self.hub.unavailable:
            return
        for room_id, view in list(self.views.items()):
            self._catch_up_room(room_id, view)
        for user_id, (listener, read) in list(self.readers.items()):
            letters = self.hub.inboxes.get(user_id, [])[read:]
            self.readers[user_id] = listener, read + len(letters)
            if letters:
                listener.on_letters(user_id, letters)

    def _catch_up_room(self, room_id: str, view: View) -> None:
        if view.epoch != self.hub.rooms[room_id].epoch:
            view.room = self.hub.rooms[room_id]
            for listener in self.listeners[room_id]:
                listener.on_reset(cast(RoomView, view))
            return
        news = [one for one in self.hub.streams[room_id] if one.seq > view.seq]
        for recorded in news:
            view.room = evolve(view.room, recorded)
            if isinstance(recorded.event, ChatMessage):
                view.chat = (*view.chat, message_of(recorded, recorded.event))[-50:]
        if news:
            for listener in self.listeners[room_id]:
                listener.on_events(cast(RoomView, view), news)

    def lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        for listener in self.listeners.get(room_id, []):
            listener.on_lossy(room_id, name, body)

    # -- Audience ------------------------------------------------------------------------------------------

    def _here(self, room_id: str, user_id: str) -> bool:
        return any(one.user_id == user_id for one in self.hub.members.get(room_id, {}).values())

    async def join(
        self, room_id: str, connection_id: str, profile: Profile, *, capacity: int
    ) -> Joined | Rejection:
        await self.hub.reach()
        first = not self._here(room_id, profile.user_id)
        members = self.hub.members.setdefault(room_id, {})
        if first and len({one.user_id for one in members.values()}) >= capacity:
            return Rejection(Code.ROOM_FULL)
        members[connection_id] = profile
        if first:
            self.hub.perform(room_id, SYSTEM, AnnounceMembers(joined=[profile], left=[]))
            self.hub.perform(room_id, SYSTEM, MarkBack(user_id=profile.user_id))
        return Joined(first=first, online=len(members))

    async def leave(self, room_id: str, connection_id: str, reason: str = "left") -> None:
        await self.hub.reach()
        profile = self.hub.members.get(room_id, {}).pop(connection_id, None)
        if profile is not None and not self._here(room_id, profile.user_id):
            self.hub.perform(room_id, SYSTEM, ReleaseUser(user_id=profile.user_id))
            departure = Departure(profile.user_id, reason)
            self.hub.perform(room_id, SYSTEM, AnnounceMembers(joined=[], left=[departure]))

    async def drop(self, room_id: str, connection_id: str) -> None:
        await self.hub.reach()
        profile = self.hub.members.get(room_id, {}).pop(connection_id, None)
        if profile is not None and not self._here(room_id, profile.user_id):
            self.hub.perform(room_id, SYSTEM, MarkAway(user_id=profile.user_id))
            departure = Departure(profile.user_id, "dropped")
            self.hub.perform(room_id, SYSTEM, AnnounceMembers(joined=[], left=[departure]))

    async def members(self, room_id: str, cursor: str | None, limit: int) -> MembersPage:
        found = list({one.user_id: one for one in self.hub.members.get(room_id, {}).values()}.values())
        return MembersPage(found[:limit], None, len(found))

    def on_fenced(self, callback: Callable[[], None]) -> None:
        self.fenced = callback

    # -- Signals -------------------------------------------------------------------------------------------

    async def to_connection(self, connection_id: str, name: str, body: dict[str, Any]) -> None:
        await self.hub.reach()
        node = self.hub.nodes.get(connection_id.partition(".")[0])
        if node is not None and not node.deaf:
            handler = node.handlers.get(name) or node.handlers["*"]
            handler(name, connection_id, body)

    async def to_node(self, node: str, name: str, body: dict[str, Any]) -> None:
        raise NotImplementedError

    def handle(self, name: str, handler: SignalHandler) -> None:
        self.handlers[name] = handler


class Inboxes:
    """The port of the same name; its `since` would clash with others in `HubNode`."""

    def __init__(self, node: HubNode) -> None:
        self._node = node
        self._numbers = itertools.count(1)

    async def post(self, user_id: str, name: str, body: dict[str, Any]) -> str:
        letters = self._node.hub.inboxes.setdefault(user_id, [])
        letters.append(Letter(str(len(letters) + 1), name, body))
        self._node.hub.ring()
        return letters[-1].position

    async def follow(self, user_id: str, listener: InboxListener) -> str:
        await self._node.hub.reach()
        count = len(self._node.hub.inboxes.get(user_id, []))
        self._node.readers[user_id] = listener, count
        return str(count)

    async def unfollow(self, user_id: str, listener: InboxListener) -> None:
        if self._node.readers.get(user_id, (None, 0))[0] is listener:
            del self._node.readers[user_id]

    async def since(self, user_id: str, position: str) -> list[Letter] | None:
        await self._node.hub.reach()
        return self._node.hub.inboxes.get(user_id, [])[int(position) :]
