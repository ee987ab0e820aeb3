"""The `Server` port over a real Valkey or Redis >= 7.0, single or cluster."""

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

from msgspec import Struct

from state.redis_connection import Address, Connection, address_of, pack
from state.redis_node import RedisNode, Timing
from state.rejections import Unavailable
from state.server import Listener, Server, ServerError, Value
from state.slots import SLOTS, slot_of, tag_for

_PROBE: Final = "probe"
_REDIRECTS_MAX: Final = 5
_AWAY: Final = (
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "READONLY",
    "TRYAGAIN",
    "BUSY",
    "OOM",
    "MISCONF",
    "NOREPLICAS",
)


class Script(Struct, frozen=True):
    """A Lua file and the name that the server knows it by."""

    text: bytes
    sha: str


def load_script(name: str) -> Script:
    """The script of this name."""
    text = (resources.files("state") / f"{name}.lua").read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


class Scripts:
    """All scripts, read once."""

    def __init__(self) -> None:
        self._known: dict[str, Script] = {}

    def __getitem__(self, name: str) -> Script:
        script = self._known.get(name)
        if script is None:
            script = self._known[name] = load_script(name)
        return script


async def run_script(
    connection: Connection, script: Script, keys: Sequence[str], arguments: Sequence[Value]
) -> Any:
    """Run by hash; a server that does not know it gets the text."""
    rest = (len(keys), *keys, connection.generation, *arguments)
    try:
        return await connection.call(pack(("EVALSHA", script.sha, *rest)))
    except ServerError as error:
        if not str(error).startswith("NOSCRIPT"):
            raise
    return await connection.call(pack(("EVAL", script.text, *rest)))


def _checked(error: ServerError) -> Exception:
    """A server that is loading, demoted, full or without quorum is away, not wrong."""
    if str(error).startswith(_AWAY):
        return Unavailable(str(error))
    return error


class SingleServer(Server):
    """One server."""

    def __init__(self, address: Address, timing: Timing, name: str) -> None:
        self._node = RedisNode(address, timing, f"{_PROBE}:{name}")
        self._scripts = Scripts()

    async def open(self) -> None:
        self._node.start()
        with contextlib.suppress(Unavailable):
            await self._node.connection()

    async def close(self) -> None:
        await self._node.close()

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        connection = await self._node.connection()
        try:
            return await run_script(connection, self._scripts[name], keys, arguments)
        except ServerError as error:
            raise _checked(error) from error

    async def execute(self, *command: Value) -> Any:
        try:
            return await self._node.call(pack(command))
        except ServerError as error:
            raise _checked(error) from error

    async def publish(self, channel: str, message: bytes) -> None:
        await self.execute("SPUBLISH", channel, message)

    async def subscribe(self, channels: Sequence[str]) -> None:
        await self._node.subscribe(channels)

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        await self._node.unsubscribe(channels)

    def listen(self, listener: Listener) -> None:
        self._node.listen(listener)


class ClusterServer(Server):
    """A cluster: every key has a slot, every slot a node; the map is read again when a node says so."""

    def __init__(self, seeds: Sequence[Address], timing: Timing, name: str) -> None:
        self._seeds = list(seeds)
        self._timing = timing
        self._name = name
        self._scripts = Scripts()
        self._nodes: dict[tuple[str, int], RedisNode] = {}
        self._slots: list[tuple[str, int] | None] = [None] * SLOTS
        self._listener: Listener | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._places: dict[str, tuple[str, int]] = {}

    async def open(self) -> None:
        try:
            await self._refresh()
        except Unavailable:
            return  # the first call tries again

    async def close(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
        for node in self._nodes.values():
            await node.close()

    def listen(self, listener: Listener) -> None:
        self._listener = listener
        for node in self._nodes.values():
            node.listen(listener)

    # --- The map ------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        """Read the map from any node; what many ask for at once is read once."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._read_map())
        await asyncio.shield(self._refreshing)

    async def _read_map(self) -> None:
        asked = [*self._nodes, *((seed.host, seed.port) for seed in self._seeds)]
        for place in dict.fromkeys(asked):
            try:
                ranges = await self._node(place).call(pack(("CLUSTER", "SLOTS")))
            except (Unavailable, ServerError):
                continue
            for first, last, master, *_ in ranges:
                owner = (bytes(master[0]).decode() or place[0], int(master[1]))
                self._slots[first : last + 1] = [owner] * (last - first + 1)
                self._node(owner).probe_on(f"{_PROBE}:{self._name}:{{{tag_for(first, last)}}}")
            await self._move_subscriptions()
            return
        raise Unavailable("no node of the cluster answers")

    def _node(self, place: tuple[str, int]) -> RedisNode:
        node = self._nodes.get(place)
        if node is None:
            like = self._seeds[0]
            address = Address(place[0], place[1], None, like.tls, like.username, like.password)
            probe = f"{_PROBE}:{self._name}"
            node = RedisNode(address, self._timing, probe, in_cluster=True, on_stray=self._on_stray)
            if self._listener is not None:
                node.listen(self._listener)
            node.start()
            self._nodes[place] = node
        return node

    async def _owner(self, key: str) -> RedisNode:
        slot = slot_of(key)
        place = self._slots[slot]
        if place is None:
            await self._refresh()
            place = self._slots[slot]
            if place is None:
                raise Unavailable(f"no node serves slot {slot}")
        return self._node(place)

    # --- Calls --------------------------------------------------------------------------------------------

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        script = self._scripts[name]

        async def attempt(connection: Connection) -> Any:
            return await run_script(connection, script, keys, arguments)

        return await self._routed(keys[0], attempt)

    async def execute(self, *command: Value) -> Any:
        packed = pack(command)

        async def attempt(connection: Connection) -> Any:
            return await connection.call(packed)

        return await self._routed(str(command[1]), attempt)

    async def _routed(self, key: str, attempt: Any) -> Any:
        asking: RedisNode | None = None
        for _ in range(_REDIRECTS_MAX):
            node = asking or await self._owner(key)
            try:
                connection = await node.connection()
                if asking is not None:
                    connection.call(pack(("ASKING",)))
                return await attempt(connection)
            except Unavailable:
                self._refresh_later()
                raise
            except ServerError as error:
                asking = await self._redirected(error)
        raise Unavailable("redirected in circles")

    def _on_stray(self, _error: str) -> None:
        self._refresh_later()

    def _refresh_later(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._read_map())
            self._refreshing.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _redirected(self, error: ServerError) -> RedisNode | None:
        words = str(error).split()
        if words[0] == "MOVED":
            host, _, port = words[2].rpartition(":")
            self._slots[int(words[1])] = (host or self._seeds[0].host, int(port))
            await self._refresh()
            return None
        if words[0] == "ASK":
            host, _, port = words[2].rpartition(":")
            return self._node((host or self._seeds[0].host, int(port)))
        raise _checked(error) from error

    async def publish(self, channel: str, message: bytes) -> None:
        await self.execute("SPUBLISH", channel, message)

    # --- Subscriptions ------------------------------------------------------------------------------------

    async def subscribe(self, channels: Sequence[str]) -> None:
        by_node: dict[tuple[str, int], list[str]] = {}
        for channel in channels:
            node = await self._owner(channel)
            place = (node.address.host, node.address.port)
            self._places[channel] = place
            by_node.setdefault(place, []).append(channel)
        for place, names in by_node.items():
            await self._node(place).subscribe(names)

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        for channel in channels:
            place = self._places.pop(channel, None)
            if place is not None:
                await self._node(place).unsubscribe((channel,))

    async def _move_subscriptions(self) -> None:
        """Follow the channels whose slots are served elsewhere now."""
        for channel, place in list(self._places.items()):
            now = self._slots[slot_of(channel)]
            if now is None or now == place:
                continue
            self._places[channel] = now
            await self._node(place).unsubscribe((channel,))
            try:
                await self._node(now).subscribe((channel,))
            finally:
                if self._listener is not None:
                    self._listener.on_reset((channel,))


def build_server(url: str, *, name: str, timing: Timing | None = None) -> Server:
    """The server behind a URL. `name` makes this process's own channels its own."""
    timing = Timing() if timing is None else timing
    scheme = url.partition(":")[0]
    if scheme.endswith("+cluster"):
        plain = url.replace("+cluster", "", 1)
        return ClusterServer([address_of(plain)], timing, name)
    return SingleServer(address_of(url), timing, name)
