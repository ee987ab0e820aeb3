"""Who is connected here: the sessions of this node, by connection and by user.

A session is one accepted connection with the identity its token gave it. Users are kept beside it, because
limits, inboxes and replaced devices belong to the user, who may be here with a phone and a tablet at once.
Everything is found, added and removed in constant time, however many rooms and members there are. A user
whose last connection went is kept for some seconds, with the subscription to its inbox: most come back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from realtime.admission import Allowance, Scope
from realtime.recovery import Record
from realtime.socketio.interface import Connection
from state.identity import Actor
from state.inbox import InboxListener
from state.ports import Caller
from state.tokens import Claims

if TYPE_CHECKING:
    from realtime.fanout import Channel


REST_MS = 15_000


class User:
    """A user with at least one connection on this node, or one that is about to be."""

    __slots__ = ("arriving", "following", "inbox_position", "reader", "scope", "sessions", "user_id")

    def __init__(self, user_id: str, scope: Scope) -> None:
        self.user_id = user_id
        self.scope = scope
        self.sessions: dict[str, Session] = {}
        # connections that are being accepted; they keep the user here
        self.arriving = 0
        # the subscription to the user's inbox, shared by all connections
        self.following: asyncio.Future[None] | None = None
        self.reader: InboxListener | None = None
        self.inbox_position = ""


class Session:
    """One connection. `channel` is the room its token names, `joined` whether it is a member there."""

    __slots__ = (
        "actor",
        "allowance",
        "busy",
        "channel",
        "claims",
        "connection",
        "connection_id",
        "done_seq",
        "ended",
        "inbox_position",
        "joined",
        "member_of",
        "record",
        "unconfirmed",
        "user",
    )

    def __init__(
        self, connection_id: str, connection: Connection, claims: Claims, allowance: Allowance, user: User
    ) -> None:
        self.connection_id = connection_id
        self.connection = connection
        self.claims = claims
        self.actor: Actor = claims.actor(present=False)
        self.allowance = allowance
        self.user = user
        self.record: Record
        self.channel: Channel | None = None
        self.joined = False
        # a command of this session is being carried out
        self.busy = False
        # the room's number after the last command of this session
        self.done_seq = 0
        # the room whose audience counts this connection; set before it is joined, cleared after
        self.member_of: str | None = None
        # why the product itself has ended this session; None while it lives
        self.ended: str | None = None
        # the last inbox event this connection was sent
        self.inbox_position = ""
        # inbox events sent whose marks are not known to be stored yet, see positions.py
        self.unconfirmed = 0

    @property
    def user_id(self) -> str:
        return self.user.user_id

    @property
    def room_id(self) -> str:
        return self.claims.room_id

    @property
    def device_id(self) -> str | None:
        return self.claims.device_id

    @property
    def expires_at_ms(self) -> int:
        return self.claims.expires_at * 1000

    def caller(self) -> Caller:
        return Caller(self.connection_id, self.actor, self.room_id)

    def identify(self, claims: Claims) -> None:
        """The token says this now."""
        self.claims = claims
        self.actor = claims.actor(present=self.joined)

    def set_joined(self, joined: bool) -> None:
        self.joined = joined
        self.actor = replace(self.actor, present=joined)


class Sessions:
    """The index. Users come into being with their first session and go with their last."""

    def __init__(self) -> None:
        self.by_connection: dict[str, Session] = {}
        # being accepted: not live yet, but they can be ended already
        self.arriving: dict[str, Session] = {}
        self.users: dict[str, User] = {}
        # users without a session: since when, in the order of their going
        self.resting: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.by_connection)

    def add(self, session: Session) -> None:
        self.arriving.pop(session.connection_id, None)
        self.by_connection[session.connection_id] = session
        session.user.sessions[session.connection_id] = session

    def find(self, connection_id: str) -> Session | None:
        return self.by_connection.get(connection_id) or self.arriving.get(connection_id)

    def remove(self, session: Session) -> None:
        self.arriving.pop(session.connection_id, None)
        self.by_connection.pop(session.connection_id, None)
        session.user.sessions.pop(session.connection_id, None)

    def rest_if_gone(self, user: User, now_ms: int) -> None:
        """Nobody of this user is here; for a while it is kept as it is, since most come back at once."""
        if not user.sessions and not user.arriving:
            self.resting.pop(user.user_id, None)
            self.resting[user.user_id] = now_ms

    def rested(self, now_ms: int) -> list[User]:
        """The users that stayed away; they are forgotten now."""
        gone = []
        for user_id, since_ms in list(self.resting.items()):
            if now_ms - since_ms < REST_MS:
                break
            del self.resting[user_id]
            user = self.users[user_id]
            if not user.sessions and not user.arriving:
                del self.users[user_id]
                gone.append(user)
        return gone
