"""The connection on asyncio: one protocol object per user, no task per user, no queue per message."""

import asyncio
from typing import cast

from loadtests.clients import connection
from loadtests.clients.frames import ProtocolError
from loadtests.clients.machinery import Asyncio


class Connection(connection.Connection, asyncio.Protocol):
    machinery = Asyncio()
    transport: asyncio.Transport | None = None

    async def _dial(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_connection(lambda: self, self.host, self.port)

    @property
    def _is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def _write(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(self.conversation.take())

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._write()

    def data_received(self, data: bytes) -> None:
        try:
            self.conversation.receive(data)
        except ProtocolError as problem:
            self.conversation.lost(f"protocol error: {problem}")
            return
        if self.conversation.has_output:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.conversation.lost(str(exc) if exc else "transport closed")
