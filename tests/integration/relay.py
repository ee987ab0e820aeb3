"""A TCP relay between a client and a node: it can be cut, frozen and pointed elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536


class Relay:
    """Listens on a free port. `target` is where new connections go."""

    def __init__(self, target: str, receive_buffer_bytes: int = 1 << 18) -> None:
        self.target = target
        # how much the system takes in for us while we hold
        self.receive_buffer_bytes = receive_buffer_bytes
        self.url = ""
        self._server: asyncio.Server | None = None
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # connections whose packets go nowhere any more, though nobody has been told
        self._frozen: list[asyncio.StreamWriter] = []
        self._open = asyncio.Event()
        self._open.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        pair = writer, far_writer
        self._pairs.add(pair)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink, pair))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = urlsplit(self.target)
        if place.scheme == "unix":
            return await asyncio.open_unix_connection(place.path)
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer_bytes)
        await asyncio.get_running_loop().sock_connect(connection, (place.hostname, place.port))
        return await asyncio.open_connection(sock=connection)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                await self._open.wait()
                if pair not in self._pairs:
                    return
                sink.write(data)
                await sink.drain()
        if pair in self._pairs:
            self._pairs.discard(pair)
            for writer in pair:
                writer.close()

    def cut(self) -> None:
        """Both ends see a reset."""
        for pair in list(self._pairs):
            self._pairs.discard(pair)
            for writer in pair:
                writer.transport.abort()

    def freeze(self) -> None:
        """The client sees a reset, the node sees nothing: half open."""
        for pair in list(self._pairs):
            self._pairs.discard(pair)
            near, far = pair
            near.transport.abort()
            self._frozen.append(far)

    def hold(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    async def close(self) -> None:
        self.cut()
        for writer in self._frozen:
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class Balancer(Relay):
    """Sends each connection to the next node in turn, whatever it carries: no session sticks to its node."""

    def __init__(self, targets: Sequence[str]) -> None:
        super().__init__(targets[0])
        self._turn = itertools.cycle(targets)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.target = next(self._turn)
        return await super()._connect()
