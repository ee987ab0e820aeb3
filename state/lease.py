"""The lease of this node: what it holds in the store is its own as long as it keeps saying so.

Each lease has a token that only grows. A node that was silent for too long is given up: its token is barred
in every room it was in, so that whatever it still tries to write fails. It then drops its sockets and starts
again with a new token. Between two renewals the node judges by its own monotonic clock whether the lease can
still be trusted, because a process that was stopped does not know it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from state.keys import Keys
from state.rejections import Unavailable
from state.rooms import Fence
from state.server import Server
from state.supervision import repeat, stop

_log = logging.getLogger(__name__)


class Lease(Fence):
    """Keeps the lease, and tells when it was lost."""

    def __init__(
        self, server: Server, keys: Keys, node: str, *, lease_seconds: float, heartbeat_seconds: float
    ) -> None:
        self._server = server
        self._keys = keys
        self._lease_seconds = lease_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._renewed_at = float("-inf")
        self._unbroken_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._on_fenced: list[Callable[[], None]] = []
        self._on_again: list[Callable[[], None]] = []
        self._last_token = 0
        self.node = node
        self.token = 0

    def on_fenced(self, callback: Callable[[], None]) -> None:
        """Call this when the node was given up."""
        self._on_fenced.append(callback)

    def on_again(self, callback: Callable[[], None]) -> None:
        """Call this when the server had forgotten the lease, and with it what was held under it."""
        self._on_again.append(callback)

    def is_held(self) -> bool:
        """Whether the lease is certainly still ours."""
        return asyncio.get_running_loop().time() - self._renewed_at < self._lease_seconds

    def is_unbroken_for(self, seconds: float) -> bool:
        """Whether every renewal of the last time succeeded: then silence of others is their own."""
        since = self._unbroken_since
        if since is None or not self.is_held():
            return False
        return asyncio.get_running_loop().time() - since >= seconds

    def lose(self) -> None:
        """The others gave us up: start again as somebody new."""
        if self.token == 0:
            return
        _log.warning("node %s was given up by the others", self.node)
        self.token = 0
        self._renewed_at = float("-inf")
        self._unbroken_since = None
        for callback in self._on_fenced:
            callback()

    async def open(self) -> None:
        """Take the lease if the server is there, and keep it from now on."""
        with contextlib.suppress(Unavailable):
            await self.renew()
        self._task = repeat(self._heartbeat_seconds, self._beat)

    async def close(self) -> None:
        """Stop renewing."""
        await stop(self._task)

    async def _beat(self) -> None:
        try:
            await self.renew()
        except BaseException:
            self._unbroken_since = None
            raise

    async def renew(self) -> None:
        """Say that we are here."""
        asked_at = asyncio.get_running_loop().time()
        keys = self._keys
        reply = await self._server.script(
            "lease",
            (keys.leases, keys.dying, keys.reaped, keys.tokens),
            (self.node, self.token, int(self._lease_seconds * 1000), self._last_token),
        )
        if reply[0] == b"fenced":
            self.lose()
            await self.renew()
            return
        self.token = self._last_token = reply[1]
        self._renewed_at = asked_at
        if self._unbroken_since is None:
            self._unbroken_since = asked_at
        if reply[0] == b"again":
            self._unbroken_since = asked_at
            for callback in self._on_again:
                callback()
