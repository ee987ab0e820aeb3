"""Who is in which room: members with their connections, under leases of the nodes that hold them.

Membership commutes, so it lives outside the document: a join is one script call, whatever else happens in
the room. What follows from it (a seat that waits in silence, an announcement) is said to the room as
commands that may be repeated. A node remembers what it holds, and says it again when the server forgot; and
now and then it compares, since a server that fell back also knows again who left since.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
from msgspec import Struct

from state import commands as c
from state import limits
from state.announcer import Announcer
from state.identity import SYSTEM, Profile
from state.keys import Keys
from state.lease import Lease
from state.rejections import Code, Rejection, Unavailable
from state.room import is_concerned
from state.rooms import Rooms
from state.server import Server
from state.supervision import repeat, stop

_profile_decoder: Final = msgspec.msgpack.Decoder(Profile)
_encode: Final = msgspec.msgpack.Encoder().encode
_PAUSE_S: Final = 0.1
_PAUSE_S_MAX: Final = 1.0
_SEEN_S: Final = 0.3
_UNBOUNDED: Final = 2**53
_ROOMS_AT_ONCE: Final = 16


class Joined(Struct, frozen=True):
    """A connection is in. `first` when it is the user's first one in this room."""

    first: bool
    online: int


class MembersPage(Struct, frozen=True):
    """Some of the members, and where to go on."""

    members: list[Profile]
    next_cursor: str | None
    total: int


def _texts(words: Iterable[bytes]) -> set[str]:
    return {bytes(word).decode() for word in words}


class AudienceStore:
    """Membership as the server holds it."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server = server
        self._keys = keys

    async def enter(
        self, room_id: str, node: str, token: int, connection_id: str, profile: Profile, capacity: int
    ) -> Joined | Rejection:
        """Put a connection in; raises Unavailable when the node was given up."""
        keys = self._keys
        held = keys.held(room_id, node, token)
        names = (*self._names(room_id), held, keys.fences(room_id), keys.holders(room_id))
        reply = await self._server.script(
            "enter", names, (node, token, connection_id, profile.user_id, _encode(profile), capacity)
        )
        if reply[0] == b"full":
            return Rejection(Code.ROOM_FULL)
        if reply[0] == b"fenced":
            raise Unavailable("this node was given up by the others")
        return Joined(bool(reply[1]), reply[2])

    async def depart(
        self, room_id: str, node: str, token: int, connection_id: str, user_id: str
    ) -> tuple[bool, int]:
        """Take a connection out; whether it was the user's last, and how many users are left."""
        keys = self._keys
        names = (*self._names(room_id), keys.held(room_id, node, token), keys.holders(room_id))
        reply = await self._server.script("depart", names, (node, token, connection_id, user_id))
        return bool(reply[0]), reply[1]

    def _names(self, room_id: str) -> tuple[str, str, str]:
        keys = self._keys
        return keys.members(room_id), keys.profiles(room_id), keys.counts(room_id)

    async def held(self, room_id: str, node: str, token: int) -> set[str]:
        """The connections that a node holds in a room, as the server knows them."""
        return _texts(await self._server.execute("HKEYS", self._keys.held(room_id, node, token)))

    async def user_of(self, room_id: str, node: str, token: int, connection_id: str) -> str | None:
        """The user of one of them."""
        user = await self._server.execute("HGET", self._keys.held(room_id, node, token), connection_id)
        return bytes(user).decode() if user else None

    async def rooms_of(self, node: str, token: int) -> set[str]:
        """The rooms that a node has noted."""
        return _texts(await self._server.execute("SMEMBERS", self._keys.rooms_of(node, token)))

    async def note_room(self, room_id: str, node: str, token: int) -> None:
        """Say that this node holds connections in a room, so that a reaper knows where to look."""
        await self._server.execute("SADD", self._keys.rooms_of(node, token), room_id)

    async def holders(self, room_id: str) -> list[str]:
        """Each `node:token` that holds connections in the room."""
        return sorted(_texts(await self._server.execute("SMEMBERS", self._keys.holders(room_id))))

    async def member(self, room_id: str, user_id: str) -> Profile | None:
        """A user of the room, or None if it is not there."""
        raw = await self._server.execute("HGET", self._keys.profiles(room_id), user_id)
        return _profile_decoder.decode(raw) if raw else None

    async def members(self, room_id: str, cursor: str | None, limit: int) -> MembersPage:
        """A page of the users in the room, in the order of their ids."""
        start = f"({cursor}" if cursor else "-"
        names = await self._server.execute(
            "ZRANGEBYLEX", self._keys.members(room_id), start, "+", "LIMIT", 0, limit + 1
        )
        page = [bytes(name).decode() for name in names[:limit]]
        profiles: list[Profile] = []
        if page:
            raws = await self._server.execute("HMGET", self._keys.profiles(room_id), *page)
            profiles = [_profile_decoder.decode(raw) for raw in raws if raw]
        more = page[-1] if len(names) > limit else None
        return MembersPage(profiles, more, await self.online(room_id))

    async def online(self, room_id: str) -> int:
        """How many users are in the room."""
        return int(await self._server.execute("ZCARD", self._keys.members(room_id)))


class Audience:
    """Membership of all rooms, as far as this node makes it."""

    def __init__(
        self,
        store: AudienceStore,
        rooms: Rooms,
        lease: Lease,
        announcer: Announcer,
        *,
        reached: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self._reached = reached
        self._store = store
        self._rooms = rooms
        self._lease = lease
        self._announcer = announcer
        self._local: dict[str, dict[str, Profile]] = {}
        self._coming: set[str] = set()
        self._suspects: set[tuple[str, str]] = set()
        self._noted: set[tuple[str, int]] = set()
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order of their birth
        lease.on_fenced(self._forget)
        lease.on_again(self._assert_all)

    def on_fenced(self, callback: Callable[[], None]) -> None:
        """Call this when the node was given up by the others: drop every socket, they came back elsewhere."""
        self._lease.on_fenced(callback)

    # --- Coming -------------------------------------------------------------------------------------------

    async def join(
        self, room_id: str, connection_id: str, profile: Profile, *, capacity: int
    ) -> Joined | Rejection:
        """A connection of this node enters a room; ROOM_FULL when it holds no more users."""
        token = self._lease.token
        self._coming.add(connection_id)
        try:
            joined = await self._enter(room_id, connection_id, profile, capacity)
        except (Unavailable, asyncio.CancelledError):
            # It may have gone in without our knowing: nobody would ever take it out again.
            self._later(lambda: self._take_out_unless_here(room_id, connection_id, profile, token))
            raise
        finally:
            self._coming.discard(connection_id)
        if isinstance(joined, Rejection):
            return joined
        self._local.setdefault(room_id, {})[connection_id] = profile
        if joined.first:
            told = self._announcer.joined(room_id, profile, joined.online)
            if joined.online < limits.MEMBER_BATCH_FROM:
                await self._seen(room_id, told)
        await self._returned(room_id, profile.user_id)
        self._refuse_if_given_up(token)
        return joined

    def _refuse_if_given_up(self, token: int) -> None:
        """What was held under an earlier lease is taken out by the others."""
        if self._lease.token != token:
            raise Unavailable("this node was given up meanwhile")

    async def _seen(self, room_id: str, told: asyncio.Future[int]) -> None:
        """In a small room one finds oneself counted: wait until our copy says so, but not for long."""
        try:
            async with asyncio.timeout(_SEEN_S):
                await self._reached(room_id, await asyncio.shield(told))
        except TimeoutError:
            return

    async def _returned(self, room_id: str, user_id: str) -> None:
        if self._concerns(room_id, user_id):
            await self._say(room_id, c.MarkBack(user_id=user_id))

    def _concerns(self, room_id: str, user_id: str) -> bool:
        """Whether the document has anything of this user, as far as this node knows."""
        room = self._rooms.newest(room_id)
        return room is None or is_concerned(room, user_id)

    async def _enter(
        self, room_id: str, connection_id: str, profile: Profile, capacity: int
    ) -> Joined | Rejection:
        node, token = self._lease.node, self._lease.token
        if not self._lease.is_held():
            raise Unavailable("the node's lease is not certain")
        if (room_id, token) not in self._noted:
            await self._store.note_room(room_id, node, token)
            self._noted.add((room_id, token))
        entered = await self._store.enter(room_id, node, token, connection_id, profile, capacity)
        self._refuse_if_given_up(token)
        return entered

    # --- Going --------------------------------------------------------------------------------------------

    async def leave(self, room_id: str, connection_id: str, reason: str = "left") -> None:
        """A connection leaves for good: with the user's last one, its seat is free."""
        await self._go(room_id, connection_id, reason, keep_seat=False)

    async def drop(self, room_id: str, connection_id: str) -> None:
        """A connection broke: with the user's last one, its seat waits for the grace time."""
        await self._go(room_id, connection_id, "dropped", keep_seat=True)

    async def _go(self, room_id: str, connection_id: str, reason: str, *, keep_seat: bool) -> None:
        local = self._local.get(room_id, {})
        profile = local.pop(connection_id, None)
        if profile is None:
            return
        if not local:
            self._local.pop(room_id, None)
        token = self._lease.token

        async def depart() -> None:
            await self._take_out(room_id, connection_id, profile, reason, keep_seat=keep_seat, token=token)

        await self._insist(depart)

    async def _take_out(
        self,
        room_id: str,
        connection_id: str,
        profile: Profile,
        reason: str,
        *,
        keep_seat: bool,
        token: int | None = None,
    ) -> None:
        """Say that a connection is gone, and what follows when it was its user's last. May be repeated."""
        node, user_id = self._lease.node, profile.user_id
        token = self._lease.token if token is None else token
        last, online = await self._store.depart(room_id, node, token, connection_id, user_id)
        if last:
            self._announcer.left(room_id, user_id, reason, online)
            await self._gone(room_id, user_id, keep_seat=keep_seat)

    async def _take_out_unless_here(
        self, room_id: str, connection_id: str, profile: Profile, token: int
    ) -> None:
        """After a coming without an answer: the same connection may have tried again, and be in."""
        if connection_id not in self._local.get(room_id, {}):
            await self._take_out(room_id, connection_id, profile, "dropped", keep_seat=True, token=token)
        if connection_id in self._local.get(room_id, {}):
            self.assert_room(room_id)

    async def gone(self, room_id: str, user_id: str, online: int) -> None:
        """A user was lost with its node: say so, and let its seat wait. May be repeated."""
        self._announcer.left(room_id, user_id, "lost", online)
        await self._gone(room_id, user_id, keep_seat=True)

    async def _gone(self, room_id: str, user_id: str, *, keep_seat: bool) -> None:
        if not self._concerns(room_id, user_id):
            return
        if not keep_seat:
            await self._say(room_id, c.ReleaseUser(user_id=user_id))
            return
        await self._say(room_id, c.MarkAway(user_id=user_id))
        if await self._store.member(room_id, user_id) is not None:
            # It came back while we said so, and its own word may have come first.
            await self._say(room_id, c.MarkBack(user_id=user_id))

    async def _say(self, room_id: str, command: c.InternalCommand) -> None:
        async def perform() -> None:
            await self._rooms.perform(room_id, SYSTEM, command)

        await self._insist(perform)

    async def _insist(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do it now, or else as soon as the server is back."""
        try:
            await act()
        except Unavailable:
            self._later(act)

    def _later(self, act: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._keep_trying(act))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _keep_trying(self, act: Callable[[], Awaitable[None]]) -> None:
        pause = _PAUSE_S
        while True:
            await asyncio.sleep(pause)
            try:
                await act()
            except Unavailable:
                pause = min(pause * 2, _PAUSE_S_MAX)
                continue
            return

    # --- After losses -------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._local.clear()
        self._noted.clear()

    def _assert_all(self) -> None:
        self._noted.clear()
        for room_id in list(self._local):
            self.assert_room(room_id)

    def assert_room(self, room_id: str) -> None:
        """The server lost data of this room: say again who is in it through this node."""
        self._noted.discard((room_id, self._lease.token))
        if room_id in self._local:
            task = asyncio.get_running_loop().create_task(self._assert(room_id))
            self._tasks[task] = None
            task.add_done_callback(self._tasks.pop)

    async def _assert(self, room_id: str) -> None:
        for connection_id in list(self._local.get(room_id, {})):

            async def enter(connection_id: str = connection_id) -> None:
                profile = self._local.get(room_id, {}).get(connection_id)
                if profile is None:
                    return
                await self._enter(room_id, connection_id, profile, _UNBOUNDED)
                if connection_id in self._local.get(room_id, {}):
                    await self._returned(room_id, profile.user_id)
                else:
                    # It went while we said so, and its own word may have come first.
                    await self._take_out(room_id, connection_id, profile, "dropped", keep_seat=True)

            await self._insist(enter)

    def start(self, check_seconds: float) -> None:
        """Compare every so often."""
        task = repeat(check_seconds, self._check)
        self._tasks[task] = None

    async def _check(self) -> None:
        node, token = self._lease.node, self._lease.token
        if not self._lease.is_held():
            return
        rooms = sorted({*await self._store.rooms_of(node, token), *self._local})
        suspects, self._suspects = self._suspects, set()
        for start in range(0, len(rooms), _ROOMS_AT_ONCE):
            part = rooms[start : start + _ROOMS_AT_ONCE]
            await asyncio.gather(*(self._check_room(room_id, token, suspects) for room_id in part))

    async def _check_room(self, room_id: str, token: int, suspects: set[tuple[str, str]]) -> None:
        """Who is unknown here may be on its way out: only what is found on two looks is taken out."""
        before = list(self._local.get(room_id, {}))
        held = await self._store.held(room_id, self._lease.node, token)
        if self._lease.token != token:
            return
        here = self._local.get(room_id, {})
        if any(connection_id in here and connection_id not in held for connection_id in before):
            self.assert_room(room_id)
        for connection_id in sorted(held - here.keys() - self._coming):
            finding = (room_id, connection_id)
            self._suspects.add(finding)
            if finding not in suspects:
                continue
            user_id = await self._store.user_of(room_id, self._lease.node, token, connection_id)
            if user_id is not None:
                profile = Profile(user_id)
                await self._take_out(room_id, connection_id, profile, "dropped", keep_seat=True, token=token)

    # --- Reading ------------------------------------------------------------------------------------------

    async def member(self, room_id: str, user_id: str) -> Profile | None:
        """A user of the room, or None if it is not there."""
        return await self._store.member(room_id, user_id)

    async def members(self, room_id: str, cursor: str | None, limit: int) -> MembersPage:
        """A page of the users in the room."""
        return await self._store.members(room_id, cursor, limit)

    async def online(self, room_id: str) -> int:
        """How many users are in the room."""
        return await self._store.online(room_id)

    def connections(self, room_id: str) -> dict[str, Profile]:
        """The connections of this node in a room."""
        return dict(self._local.get(room_id, {}))

    async def close(self) -> None:
        """Stop trying."""
        await stop(*self._tasks)
