"""Every key and channel name.

All keys of a room share one hash tag, so that a cluster keeps them in one slot and a script may touch them
together. The leases of all nodes share another.
"""

from msgspec import Struct


class Keys(Struct, frozen=True):
    """The names under one prefix."""

    prefix: str = "fl"

    def room(self, room_id: str) -> str:
        """Hash: epoch, seq, generation, document."""
        return f"{self.prefix}:{{{room_id}}}:room"

    def stream(self, room_id: str) -> str:
        """Stream of commits; the id of an entry is the number of its last event."""
        return f"{self.prefix}:{{{room_id}}}:stream"

    def log(self, room_id: str) -> str:
        """Stream of kept chat messages; the id of an entry is the number of its event."""
        return f"{self.prefix}:{{{room_id}}}:log"

    def fences(self, room_id: str) -> str:
        """Hash: node -> highest token that was given up."""
        return f"{self.prefix}:{{{room_id}}}:fences"

    def claim(self, room_id: str) -> str:
        """Hash: the furthest copy offered after lost data."""
        return f"{self.prefix}:{{{room_id}}}:claim"

    def command(self, room_id: str, user_id: str, command_id: str) -> str:
        """String: the first answer to a command."""
        return f"{self.prefix}:{{{room_id}}}:command:{user_id}:{command_id}"

    def members(self, room_id: str) -> str:
        """Sorted set of user ids, all of score 0: pages in the order of the ids."""
        return f"{self.prefix}:{{{room_id}}}:members"

    def profiles(self, room_id: str) -> str:
        """Hash: user id -> profile."""
        return f"{self.prefix}:{{{room_id}}}:profiles"

    def counts(self, room_id: str) -> str:
        """Hash: user id -> number of connections."""
        return f"{self.prefix}:{{{room_id}}}:counts"

    def held(self, room_id: str, node: str, token: int) -> str:
        """Hash: connection id -> user id, of one node under one lease."""
        return f"{self.prefix}:{{{room_id}}}:held:{node}:{token}"

    def holders(self, room_id: str) -> str:
        """Set: `node:token` that holds connections in the room."""
        return f"{self.prefix}:{{{room_id}}}:holders"

    def gone(self, room_id: str, node: str, token: int) -> str:
        """Set: users that were lost with a node and not yet announced."""
        return f"{self.prefix}:{{{room_id}}}:gone:{node}:{token}"

    def channel(self, room_id: str) -> str:
        """Channel of a room."""
        return f"{self.prefix}:{{{room_id}}}"

    @property
    def directory(self) -> str:
        """Sorted set of live room ids, all of score 0."""
        return f"{self.prefix}:directory"

    @property
    def sweep(self) -> str:
        """String: who looks after the rooms that nobody follows."""
        return f"{self.prefix}:sweep"

    @property
    def reports(self) -> str:
        """Stream of what users reported to the operators."""
        return f"{self.prefix}:reports"

    @property
    def leases(self) -> str:
        """Sorted set: `node:token` by the time its lease ends."""
        return f"{self.prefix}:{{nodes}}:leases"

    @property
    def dying(self) -> str:
        """Sorted set: `node:token` that is being reaped, by the time another may take over."""
        return f"{self.prefix}:{{nodes}}:dying"

    @property
    def reaped(self) -> str:
        """Sorted set: `node:token` that was given up, by the time of that."""
        return f"{self.prefix}:{{nodes}}:reaped"

    @property
    def tokens(self) -> str:
        """Counter of fencing tokens."""
        return f"{self.prefix}:{{nodes}}:tokens"

    def rooms_of(self, node: str, token: int) -> str:
        """Set: rooms in which a node holds connections under one lease."""
        return f"{self.prefix}:{{nodes}}:rooms:{node}:{token}"

    def inbox(self, user_id: str) -> str:
        """Stream of one user's private events."""
        return f"{self.prefix}:{{user:{user_id}}}:inbox"

    def inbox_channel(self, user_id: str) -> str:
        """Channel of one user."""
        return f"{self.prefix}:{{user:{user_id}}}"

    def node_channel(self, node: str) -> str:
        """Channel of one node."""
        return f"{self.prefix}:{{node:{node}}}"

    @property
    def console_nodes(self) -> str:
        """Sorted set: nodes by the time they last told the console of themselves."""
        return f"{self.prefix}:{{console}}:nodes"

    def console(self, node: str) -> str:
        """String: what a node last told the console."""
        return f"{self.prefix}:{{console}}:node:{node}"

    def console_link(self, digest: str) -> str:
        """String: the session a one-time link leads to, or that it was used."""
        return f"{self.prefix}:{{console}}:link:{digest}"

    @property
    def media_workers(self) -> str:
        """Sorted set: media workers by the time they were last heard of."""
        return f"{self.prefix}:{{media}}:workers"

    def media_worker(self, worker: str) -> str:
        """String: what a living media worker says of itself."""
        return f"{self.prefix}:{{media}}:worker:{worker}"

    def media_room(self, room_id: str) -> str:
        """String: the media worker that carries a room's audio."""
        return f"{self.prefix}:{{{room_id}}}:media"
