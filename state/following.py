"""Following rooms: every node keeps a copy of the rooms that its sockets watch, and learns from the stream.

The channel is a doorbell that usually brings the commit along; the stream is the truth. A number that is
missing is read from the stream, a position that can not be reached from there is left by taking the whole
room anew. Rooms that are silent are asked now and then where they stand, so that neither a lost message nor
lost data goes unnoticed. A room without listeners is not followed.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from state import limits
from state.events import ChatDeleted, ChatMessage, Recorded
from state.identity import Actor
from state.journal import Batch, Lossy, decode_room_message
from state.recovery import Recovery
from state.rejections import Unavailable
from state.room import Message, Room, message_of, snapshot
from state.server import Server
from state.store import Loaded, Lost, Missing, RoomStore
from state.supervision import repeat, stop
from state.transitions import evolve

_log = logging.getLogger(__name__)
_CHECKS_AT_ONCE: Final = 128
_PAUSE_S: Final = 0.1


def _tell(room_id: str, listen: Callable[..., None], *what: object) -> None:
    """A listener's defect is its own: neither the room nor other listeners suffer from it."""
    try:
        listen(*what)
    except Exception:
        _log.exception("room %s: a listener failed", room_id)


class RoomView:
    """A node's copy of a room at a position, with the last messages."""

    __slots__ = ("chat", "confirmed_at", "head", "listeners", "repair", "room", "waiting")

    def __init__(self, room: Room, chat: tuple[Message, ...], now: float) -> None:
        self.room = room
        self.chat = chat
        self.listeners: list[RoomListener] = []
        self.head = room.seq  # the highest number heard of
        self.confirmed_at = now  # when the store last confirmed that this is the newest
        self.repair: asyncio.Task[None] | None = None
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def epoch(self) -> str:
        """The epoch of the copy."""
        return self.room.epoch

    @property
    def seq(self) -> int:
        """The number of the last event in the copy."""
        return self.room.seq

    @property
    def is_mending(self) -> bool:
        """Whether the copy is known to be behind and being repaired."""
        return self.repair is not None and not self.repair.done()

    def snapshot(self, viewer: Actor) -> dict[str, Any]:
        """What a joining client gets."""
        return snapshot(self.room, viewer, self.chat)

    def apply(self, recorded: Recorded) -> None:
        """Take one event in."""
        event = recorded.event
        self.room = evolve(self.room, recorded)
        if isinstance(event, ChatMessage):
            self.chat = (*self.chat[1 - limits.CHAT_SNAPSHOT :], message_of(recorded, event))
        elif isinstance(event, ChatDeleted):
            self.chat = tuple(one for one in self.chat if one.message_id != event.message_id)


class RoomListener(Protocol):
    """Told of one room's events, in order and without a gap. Must not block."""

    def on_events(self, view: RoomView, events: list[Recorded]) -> None:
        """These happened; the view stands after the last of them."""
        ...

    def on_reset(self, view: RoomView) -> None:
        """The view made a jump: every client needs a snapshot."""
        ...

    def on_lossy(self, room_id: str, name: str, body: dict[str, Any]) -> None:
        """A message of the lossy lane."""
        ...


class Followers:
    """The rooms that this node follows."""

    def __init__(
        self,
        store: RoomStore,
        server: Server,
        recovery: Recovery,
        *,
        check_seconds: float,
        on_change: Callable[[Room], None] = lambda _room: None,
        on_reopened: Callable[[str], None] = lambda _room_id: None,
    ) -> None:
        self._store = store
        self._server = server
        self._recovery = recovery
        self._check_seconds = check_seconds
        self._on_change = on_change
        self._on_reopened = on_reopened
        self._views: dict[str, RoomView] = {}
        self._opening: dict[str, asyncio.Task[RoomView | None]] = {}
        self._wanted: dict[str, list[RoomListener]] = {}
        self._rooms_by_channel: dict[str, str] = {}
        self._rung: set[str] = set()
        self._checker: asyncio.Task[None] | None = None
        self.gaps = 0
        self.resets = 0
        recovery.on_settled(self._on_settled)

    # --- Watching -----------------------------------------------------------------------------------------

    def view(self, room_id: str) -> RoomView | None:
        """The copy of a followed room."""
        return self._views.get(room_id)

    def rooms(self) -> list[Room]:
        """All copies."""
        return [view.room for view in self._views.values()]

    async def reached(self, room_id: str, seq: int) -> None:
        """Wait until the copy of a followed room has come this far."""
        view = self._views.get(room_id)
        if view is not None and view.seq < seq:
            here: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            view.waiting.append((seq, here))
            await here

    async def watch(self, room_id: str, listener: RoomListener) -> RoomView | None:
        """Follow a room for this listener; None when there is no such room. Several may watch one room."""
        self._wanted.setdefault(room_id, []).append(listener)
        try:
            view = self._views.get(room_id) or await self._opened(room_id)
        except BaseException:
            await self._unwant(room_id, listener)
            raise
        if view is None:
            await self._unwant(room_id, listener)
            return None
        if listener not in view.listeners:
            view.listeners.append(listener)
        return view

    async def unwatch(self, room_id: str, listener: RoomListener) -> None:
        """Stop; the last listener's leaving ends the following."""
        view = self._views.get(room_id)
        await self._unwant(room_id, listener)
        if view is not None and listener in view.listeners and listener not in self._wanted.get(room_id, ()):
            view.listeners.remove(listener)

    async def _unwant(self, room_id: str, listener: RoomListener) -> None:
        wanted = self._wanted.get(room_id, [])
        if listener in wanted:
            wanted.remove(listener)
        if not wanted:
            self._wanted.pop(room_id, None)
            self._rung.discard(room_id)
            view = self._views.pop(room_id, None)
            if view is not None and view.repair is not None:
                view.repair.cancel()
            channel = self._store.keys.channel(room_id)
            if self._rooms_by_channel.pop(channel, None) is not None:
                await self._server.unsubscribe((channel,))

    async def _opened(self, room_id: str) -> RoomView | None:
        task = self._opening.get(room_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._open(room_id))
            self._opening[room_id] = task
            task.add_done_callback(lambda _task: self._opening.pop(room_id, None))
        return await asyncio.shield(task)

    async def _open(self, room_id: str) -> RoomView | None:
        """Subscribe first, then load: what happens in between is repaired from the stream."""
        channel = self._store.keys.channel(room_id)
        self._rooms_by_channel[channel] = room_id
        self._rung.discard(room_id)
        await self._server.subscribe((channel,))
        loaded = await self._store.load(room_id, limits.CHAT_SNAPSHOT)
        if isinstance(loaded, Lost):
            self._recovery.report(room_id, None, ())
            raise Unavailable("the room is being restored")
        if isinstance(loaded, Missing):
            return None
        view = RoomView(loaded.room, loaded.chat, asyncio.get_running_loop().time())
        if room_id in self._wanted:
            self._views[room_id] = view
            self._on_change(view.room)
            if room_id in self._rung:  # a message came before there was a copy
                self._mend(view)
        return view

    # --- What the server says -----------------------------------------------------------------------------

    def on_message(self, channel: str, message: bytes) -> bool:
        """A message on a room's channel; False when the channel is none of ours."""
        room_id = self._rooms_by_channel.get(channel)
        if room_id is None:
            return False
        view = self._views.get(room_id)
        if view is None:
            self._rung.add(room_id)
            return True
        content = decode_room_message(message)
        if isinstance(content, Lossy):
            for listener in tuple(view.listeners):
                _tell(room_id, listener.on_lossy, room_id, content.name, content.body)
        elif isinstance(content, Batch) and content.epoch == view.epoch:
            self._take(view, content)
        elif content.epoch > view.epoch:
            self._mend(view)
        return True

    def _take(self, view: RoomView, batch: Batch) -> None:
        view.head = max(view.head, batch.last)
        if batch.first > view.seq + 1:
            self.gaps += 1
            self._mend(view)
        elif batch.last > view.seq:
            view.confirmed_at = asyncio.get_running_loop().time()
            self._advance(view, batch.recorded(after=view.seq))

    def _advance(self, view: RoomView, events: list[Recorded]) -> None:
        for recorded in events:
            view.apply(recorded)
        self._moved(view)
        for listener in tuple(view.listeners):
            _tell(view.room.room_id, listener.on_events, view, events)

    def _moved(self, view: RoomView) -> None:
        self._on_change(view.room)
        if view.waiting:
            for seq, here in view.waiting:
                if seq <= view.seq and not here.done():
                    here.set_result(None)
            view.waiting = [one for one in view.waiting if not one[1].done()]

    def on_reset(self, channels: Sequence[str]) -> None:
        """These channels may have missed something."""
        for channel in channels:
            view = self._views.get(self._rooms_by_channel.get(channel, ""))
            if view is not None:
                self._mend(view)

    # --- Mending ------------------------------------------------------------------------------------------

    def _mend(self, view: RoomView) -> None:
        if not view.is_mending:
            view.repair = asyncio.get_running_loop().create_task(self._repair(view))

    async def _repair(self, view: RoomView) -> None:
        room_id = view.room.room_id
        while self._views.get(room_id) is view:
            try:
                if await self._repaired(view):
                    return
            except Unavailable:
                pass
            await asyncio.sleep(_PAUSE_S)

    async def _repaired(self, view: RoomView) -> bool:
        room_id, epoch, asked = view.room.room_id, view.epoch, view.seq
        answer = await self._store.since(room_id, epoch, asked)
        if self._views.get(room_id) is not view:
            return True
        if isinstance(answer, list):
            fresh = [recorded for recorded in answer if recorded.seq > view.seq]
            view.confirmed_at = asyncio.get_running_loop().time()
            if fresh and view.epoch == epoch:
                self._advance(view, fresh)
            return view.head <= view.seq
        if isinstance(answer, Missing | Lost):
            if view.room.closed_reason is None:
                self._recovery.report(room_id, view.room, view.chat)
            return True
        return await self._taken_anew(view)

    async def _taken_anew(self, view: RoomView) -> bool:
        loaded = await self._store.load(view.room.room_id, limits.CHAT_SNAPSHOT)
        if not isinstance(loaded, Loaded):
            return False
        if loaded.room.epoch == view.epoch and loaded.room.seq < view.seq:
            # The same epoch can not go back: report it as what it is.
            self._recovery.report(view.room.room_id, view.room, view.chat)
            return True
        self.resets += 1
        reopened = loaded.room.epoch != view.epoch
        view.room, view.chat, view.head = loaded.room, loaded.chat, loaded.room.seq
        view.confirmed_at = asyncio.get_running_loop().time()
        self._moved(view)
        for listener in tuple(view.listeners):
            _tell(view.room.room_id, listener.on_reset, view)
        if reopened:
            self._on_reopened(view.room.room_id)
        return True

    def _on_settled(self, room_id: str, exists: bool) -> None:
        view = self._views.get(room_id)
        if view is not None and exists:
            self._mend(view)

    # --- Checking -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to check silent rooms."""
        self._checker = repeat(self._check_seconds / 2, self._check_silent)

    async def close(self) -> None:
        """Stop following."""
        await stop(self._checker, *(view.repair for view in self._views.values()))
        await stop(*self._opening.values())

    async def _check_silent(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [
            view
            for view in self._views.values()
            if now - view.confirmed_at >= self._check_seconds and not view.is_mending
        ]
        for start in range(0, len(due), _CHECKS_AT_ONCE):
            await asyncio.gather(*(self._check(view) for view in due[start : start + _CHECKS_AT_ONCE]))

    async def _check(self, view: RoomView) -> None:
        room_id = view.room.room_id
        if self._recovery.is_under_way(room_id):
            return
        try:
            position = await self._store.position(room_id)
        except Unavailable:
            return
        if position == (view.epoch, view.seq):
            view.confirmed_at = asyncio.get_running_loop().time()
        else:
            self._mend(view)
