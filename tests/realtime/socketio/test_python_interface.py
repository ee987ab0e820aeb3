"""python-socketio's own interface on our transport: what applications written for it rely on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as Refused

from realtime.engine.limits import Limits
from realtime.socketio.server import Server
from tests.realtime.wire import until

WAIT_SECONDS = 20  # one second by the client's own default


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server(limits=Limits(attachments=10), origins="*", namespaces=["/", "/admin"])
    made.seen = []

    @made.event
    async def connect(sid: str, environ: dict[str, Any], auth: dict[str, Any] | None) -> None:
        if auth == {"refuse": True}:
            raise Refused("not you", {"code": 1})
        made.seen.append(("connect", environ["REMOTE_ADDR"], auth))

    @made.event
    def disconnect(sid: str, reason: str) -> None:
        made.seen.append(("disconnect", reason))

    @made.event
    async def echo(sid: str, *arguments: Any) -> Any:
        return arguments

    @made.on("plain")
    def plain(sid: str, value: int) -> int:
        return value + 1

    @made.on("enter")
    async def enter(sid: str, room: str) -> None:
        await made.enter_room(sid, room)

    @made.on("*")
    async def anything(event: str, sid: str, *arguments: Any) -> str:
        return f"any {event}"

    class Admin(socketio.AsyncNamespace):
        async def on_ask(self, sid: str, value: int) -> int:
            return value * 2

    made.register_namespace(Admin("/admin"))
    app = web.Application()
    made.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await made.shutdown()
    await runner.cleanup()


class Client(socketio.AsyncClient):
    """python-socketio's own client, with its events kept."""

    def __init__(self) -> None:
        super().__init__(reconnection=False)
        self.events: list[Any] = []
        self.on("*", lambda event, *arguments: self.events.append((event, *arguments)))


@pytest.fixture(params=["websocket", "polling", "upgrade"])
async def clients(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[list[Client]]:
    transports = {"upgrade": ["polling", "websocket"]}.get(request.param, [request.param])
    made = [Client() for _ in range(3)]
    for number, client in enumerate(made):
        await client.connect(
            server.url,
            auth={"n": number},
            transports=transports,
            namespaces=["/", "/admin"],
            wait_timeout=WAIT_SECONDS,
        )
    yield made
    for client in made:
        await client.disconnect()


async def test_calls_and_emits(server: Server, clients: list[Client]) -> None:
    one, two, three = clients
    assert server.seen[0] == ("connect", "127.0.0.1", {"n": 0})
    assert await one.call("echo", ("a", {"b": [1]})) in (("a", {"b": [1]}), ["a", {"b": [1]}])
    assert await one.call("plain", 41) == 42
    assert await one.call("unknown") == "any unknown"
    assert await one.call("ask", 21, namespace="/admin") == 42
    assert await one.call("echo", b"\x00\xff") == b"\x00\xff"
    for client in (one, two):
        await client.call("enter", "room")
    await server.emit("to-room", {"n": 1}, room="room")
    await server.emit("to-all", 2)
    await server.emit("to-one", ("a", "b"), to=three.get_sid())
    await server.emit("skipped", skip_sid=one.get_sid())
    await server.emit("bytes", {"b": b"\x01"}, room="room")
    await until(lambda: len(one.events) == 3 and len(two.events) == 4 and len(three.events) == 3)
    assert one.events == [("to-room", {"n": 1}), ("to-all", 2), ("bytes", {"b": b"\x01"})]
    assert two.events == [("to-room", {"n": 1}), ("to-all", 2), ("skipped",), ("bytes", {"b": b"\x01"})]
    assert three.events == [("to-all", 2), ("to-one", "a", "b"), ("skipped",)]


async def test_server_calls_client(server: Server, clients: list[Client]) -> None:
    clients[0].on("question", lambda value: value + 1)
    assert await server.call("question", 1, to=clients[0].get_sid(), timeout=WAIT_SECONDS) == 2


async def test_sessions_rooms_and_disconnect(server: Server, clients: list[Client]) -> None:
    sid = clients[0].get_sid()
    await server.save_session(sid, {"name": "x"})
    assert await server.get_session(sid) == {"name": "x"}
    await server.enter_room(sid, "a")
    assert set(server.rooms(sid)) == {sid, "a"}
    await server.leave_room(sid, "a")
    assert server.rooms(sid) == [sid]
    await server.enter_room(sid, "b")
    await server.close_room("b")
    assert server.rooms(sid) == [sid]
    await server.disconnect(sid)
    await until(lambda: "/" not in clients[0].namespaces)
    assert server.seen[-1] == ("disconnect", "server disconnect")
    assert server.rooms(sid) == []
    with pytest.raises(ValueError, match="not connected"):
        await server.enter_room(sid, "b")


async def test_everything_is_forgotten(server: Server, clients: list[Client]) -> None:
    for client in clients:
        await client.call("enter", "room")
        await client.disconnect()
    await until(lambda: sum(entry[0] == "disconnect" for entry in server.seen) == 3)
    assert not server.eio.sockets
    assert not any(server.manager.clients.values())
    assert not any(server.manager._rooms.values())
    assert not server.manager._entered


async def test_refusal_tells_why(server: Server) -> None:
    client = Client()
    heard = asyncio.get_running_loop().create_future()
    client.on("connect_error", heard.set_result)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(
            server.url, auth={"refuse": True}, transports=["websocket"], wait_timeout=WAIT_SECONDS
        )
    assert await asyncio.wait_for(heard, WAIT_SECONDS) == {"message": "not you", "data": {"code": 1}}
    await client.disconnect()
