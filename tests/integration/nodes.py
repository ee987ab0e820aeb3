"""Nodes as processes over one Valkey and one Postgres, with a kernel of the test's own beside them.

The kernel creates rooms and looks at them, as a backend would; tokens are signed with the development key
that nodes on loopback accept.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from realtime.keys import DEVELOPMENT_TOKEN_KEY, keyring
from state.events import Settings as RoomSettings
from state.kernel import Kernel, build_kernel
from state.rejections import Rejection
from state.settings import Auth, Settings
from state.tokens import Claims, sign
from tests.processes import NodeProcess

KEYRING = keyring(Settings(auth=Auth(token_keys=(DEVELOPMENT_TOKEN_KEY,))))


def token(user_id: str, room_id: str = "lounge", *, seconds: float = 3600, **claims: Any) -> str:
    issued = int(time.time())
    given = {"role": "member", "jti": "j", **claims}
    body = Claims(
        user_id=user_id, room_id=room_id, issued_at=issued, expires_at=int(issued + seconds), **given
    )
    return sign(body, KEYRING)


class Cluster:
    """Any number of nodes that share their servers."""

    def __init__(self, directory: Path, redis_url: str, database_url: str, kernel: Kernel) -> None:
        self._directory = directory
        self.redis_url = redis_url
        self._urls = {"FLYLIVE_REDIS_URL": redis_url, "FLYLIVE_DATABASE_URL": database_url}
        self.kernel = kernel
        self.nodes: list[NodeProcess] = []

    async def start(self, **values: str) -> NodeProcess:
        name = f"node{len(self.nodes)}"
        self._directory.mkdir(exist_ok=True)
        defaults = {"FLYLIVE_SFU_WORKERS": "0", "FLYLIVE_NODE_DRAIN_SECONDS": "1"}
        node = NodeProcess(self._directory / name, **defaults | self._urls | values)
        self.nodes.append(node)
        await asyncio.to_thread(node.wait_ready)
        return node

    async def room(self, room_id: str = "lounge", owner_id: str = "owner", **settings: Any) -> None:
        made = await self.kernel.rooms.create(room_id, owner_id, RoomSettings(**settings))
        assert not isinstance(made, Rejection), made

    async def stop(self, node: NodeProcess, number: signal.Signals = signal.SIGTERM) -> None:
        await asyncio.to_thread(node.stop, number)

    def logs(self) -> Iterator[dict[str, Any]]:
        """What the nodes said, line by line."""
        for node in self.nodes:
            for line in node.log.splitlines():
                with contextlib.suppress(msgspec.DecodeError):
                    yield msgspec.json.decode(line)


@contextlib.asynccontextmanager
async def cluster(directory: Path, redis_url: str, database_url: str) -> AsyncIterator[Cluster]:
    kernel = build_kernel(redis_url, Settings())
    await kernel.open()
    made = Cluster(directory, redis_url, database_url, kernel)
    try:
        yield made
    finally:
        for node in made.nodes:
            await made.stop(node)
        await kernel.close()
        for line in made.logs():
            if line.get("level") in ("warning", "error", "critical"):
                print(line)  # shown with a failing test
