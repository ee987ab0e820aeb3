"""Whole conversations of garbage and of valid but wrong packets with a server, upgrades and ends included.

Whatever a client does: nothing unexpected is raised or logged, every accepted connection is told to be gone
exactly once, and no session, connection, membership, timer or task is left when it has gone.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable
from typing import Any

from realtime.engine.limits import Limits
from realtime.engine.requests import Refused
from realtime.socketio.frames import Frames
from realtime.socketio.interface import Accept, Connection, Recovery, Refuse
from realtime.socketio.server import Server
from tests.fuzz.registry import Target
from tests.fuzz.targets.socketio_packets import make_pack, make_text
from tests.fuzz.targets.websocket_frames import make as make_stream
from tests.realtime.wire import ENVIRON, MemoryClient, settle

ENGINE_PACKETS = ("3", "2", "1", "0", "6", "5", "2probe", "", "x", "4", "b4", "bAQID")
QUERIES: tuple[dict[str, str], ...] = (
    {"EIO": "4", "transport": "websocket"},
    {"EIO": "3", "transport": "websocket"},
    {"EIO": "4", "transport": "websocket", "sid": "unknown"},
    {},
)


class Whimsical:
    """A product that accepts, refuses, fails, answers and closes, by what the client sends."""

    def __init__(self) -> None:
        self.accepted = self.ended = 0
        self.server: Server | None = None

    async def on_connect(
        self, connection: Connection, auth: dict[str, Any], recovery: Recovery | None
    ) -> Accept | Refuse:
        if len(auth) % 2:
            await asyncio.sleep(0)
        if "num" in auth:
            return Refuse("no")
        group.add(connection)
        self.accepted += 1
        return Accept(pid="p")

    def on_command(
        self, connection: Connection, name: str, arguments: list[Any], ack_id: int | None, size_bytes: int
    ) -> Awaitable[None] | None:
        assert connection.state is None
        if name == "":
            connection.close("kicked", resumable=bool(arguments and arguments[0]))
            return None
        group.send(Frames("e", {"n": len(arguments)}))
        if name == "_placeholder":
            return self._later(connection, ack_id)
        connection.acknowledge(ack_id, arguments[:1])
        return None

    async def _later(self, connection: Connection, ack_id: int | None) -> None:
        await asyncio.sleep(0)
        connection.acknowledge(ack_id, {})
        group.remove(connection)

    def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.ended += 1


class Witness(logging.Handler):
    """Whatever the wire logs about garbage is a finding."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


product, witness, loop = Whimsical(), Witness(), asyncio.new_event_loop()
server = Server(
    application=product,
    origins="*",
    limits=Limits(
        attachments=2, inbound_packets=4, control_frames=8, connections_per_address=0, message_bytes=5000
    ),
)
group = server.group()
for name in ("realtime", "asyncio"):
    logging.getLogger(name).addHandler(witness)

Step = tuple[str, Any]


def make(rng: random.Random) -> list[Step]:
    packed = rng.random() < 0.4
    steps: list[Step] = [("open", rng.choices(QUERIES, (20, 1, 1, 1))[0])]
    if rng.random() < 0.2:
        steps = [("poll", None), ("probe", None), ("send", "2probe"), ("send", "5")]
    if rng.random() < 0.9:
        steps.append(("send", b"\x82\xa4type\x00\xa3nsp\xa1/" if packed else "40"))
    for _ in range(rng.randrange(12)):
        kind = rng.random()
        if kind < 0.1:
            steps.append(("send", rng.choice(ENGINE_PACKETS)))
        elif kind < 0.15:
            steps.append(("feed", b"".join(make_stream(rng).chunks)))
        elif kind < 0.2:
            steps.append(("lose", None))
        elif kind < 0.35:
            steps.append(("turn", None))
        elif kind < 0.4:
            steps.append(("broadcast", None))
        else:
            steps.append(("send", make_pack(rng) if packed else "4" + make_text(rng)))
    return steps


async def converse(steps: list[Step]) -> None:
    client: MemoryClient | None = None
    session = None
    for action, value in steps:
        if action == "poll":
            session = server.eio.open_session(dict(ENVIRON))
        elif action in ("open", "probe"):
            query = value or {"EIO": "4", "transport": "websocket", "sid": session.sid if session else ""}
            try:
                client = MemoryClient(server.eio, query)
            except Refused:
                return
        elif action == "send" and client is not None:
            client.send(value)
        elif action == "feed" and client is not None:
            client.feed(value)
        elif action == "lose" and client is not None:
            client.lose(None if len(steps) % 2 else OSError())
        elif action == "broadcast":
            group.send(Frames("e", {"n": 1}))
        else:
            await asyncio.sleep(0)
    if client is not None:
        client.lose()
    await settle(12)
    if session is not None and not session.upgraded:
        session.close("transport close")
    await settle(12)


def check(steps: list[Step]) -> None:
    witness.records.clear()
    loop.set_exception_handler(lambda _loop, context: witness.records.append(str(context)))
    loop.run_until_complete(converse(steps))
    left = {
        "logged": witness.records,
        "connections not told to be gone": product.accepted - product.ended,
        "sessions": server.eio.sockets,
        "connections": dict(server.connections),
        "members": len(group),
        "busy": group.busy,
        "timers": len(server.eio.wheel),
        "tasks": asyncio.all_tasks(loop),
        "addresses": server.eio.addresses,
    }
    assert not any(left.values()), left


TARGETS = [Target("wire-conversations", make, check)]
