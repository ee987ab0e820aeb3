"""HTTP long polling over real sockets: what requests may do to a session, and to each other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from realtime.engine.limits import Limits
from realtime.engine.reasons import Reason
from realtime.engine.server import Engine
from realtime.engine.session import Session
from tests.realtime.wire import until


class Sink:
    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.closed: list[str] = []
        self.sessions: list[Session] = []
        self.pause_at = -1

    def on_open(self, session: Session) -> None:
        self.sessions.append(session)

    def on_message(self, session: Session, data: str | bytes) -> None:
        self.messages.append(data)
        if len(self.messages) == self.pause_at:
            session.pause_reading()

    def on_close(self, session: Session, reason: str) -> None:
        self.closed.append(reason)


class Poller:
    """One engine and a client of it."""

    def __init__(self, engine: Engine, sink: Sink, http: aiohttp.ClientSession, port: int) -> None:
        self.engine, self.sink, self.http, self.port = engine, sink, http, port
        self.url = f"http://127.0.0.1:{port}/engine.io/"

    async def ask(self, method: str = "GET", body: Any = None, **query: str) -> tuple[int, str]:
        parameters = {"EIO": "4", "transport": "polling", **query}
        async with self.http.request(method, self.url, params=parameters, data=body) as response:
            return response.status, await response.text()

    async def open(self) -> Session:
        assert (await self.ask())[0] == 200
        return self.sink.sessions[-1]


@contextlib.asynccontextmanager
async def polling(origins: Any = "*", stray: Any = None, **limits: Any) -> AsyncIterator[Poller]:
    quiet = {"ping_interval_seconds": 60.0, "ping_timeout_seconds": 60.0, "connect_timeout_seconds": 0.0}
    engine = Engine(limits=Limits(**{**quiet, **limits}), cors_allowed_origins=origins, stray=stray)
    engine.consumer = sink = Sink()
    app = web.Application()
    engine.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as http:
        yield Poller(engine, sink, http, runner.addresses[0][1])
    await engine.shutdown()
    await runner.cleanup()


async def test_poll_waits_for_the_next_packet() -> None:
    async with polling() as poller:
        session = await poller.open()
        poll = asyncio.create_task(poller.ask(sid=session.sid))
        await until(lambda: session.poll is not None)
        session.write(b"\x81\x0242")
        session.write(b"\x82\x03\x01\x02\x03")
        assert await poll == (200, "42\x1ebAQID")


async def test_poll_that_is_given_up_ends_the_session() -> None:
    """The client has gone: known at once, without waiting for a ping."""
    async with polling() as poller:
        session = await poller.open()
        poll = asyncio.create_task(poller.ask(sid=session.sid))
        await until(lambda: session.poll is not None)
        poll.cancel()
        await until(lambda: poller.sink.closed)
        assert poller.sink.closed == [Reason.TRANSPORT_ERROR]
        assert not poller.engine.sockets


async def test_overlapping_posts_end_the_session() -> None:
    """They would break the order."""
    async with polling() as poller:
        session = await poller.open()
        poller.sink.pause_at = 1
        first = asyncio.create_task(poller.ask("POST", "4a\x1e4b", sid=session.sid))
        await until(lambda: poller.sink.messages == ["a"])
        assert (await poller.ask("POST", "4c", sid=session.sid))[0] == 400
        assert poller.sink.closed == [Reason.BAD_PACKET]
        assert (await first)[0] == 200
        assert poller.sink.messages == ["a"]


async def test_post_waits_for_a_consumer_that_is_behind() -> None:
    async with polling() as poller:
        session = await poller.open()
        poller.sink.pause_at = 2
        post = asyncio.create_task(poller.ask("POST", "4a\x1e4b\x1e4c", sid=session.sid))
        await until(lambda: poller.sink.messages == ["a", "b"])
        await asyncio.sleep(0.02)
        assert not post.done()
        session.resume_reading()
        assert await post == (200, "ok")
        assert poller.sink.messages == ["a", "b", "c"]


@pytest.mark.parametrize("body", ["", "x", "4ok\x1ex", "b*", "bA", "b\u00e9", b"\xff\xfe", "0{}"])
async def test_bad_bodies_end_the_session(body: str | bytes) -> None:
    async with polling() as poller:
        session = await poller.open()
        assert (await poller.ask("POST", body, sid=session.sid))[0] == 400
        assert poller.sink.closed == [Reason.BAD_PACKET]
        assert (await poller.ask(sid=session.sid))[0] == 400


async def test_large_bodies_end_the_session() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"4" * 100

    async with polling(message_bytes=1000) as poller:
        for body in ("4" * 1001, chunks()):
            session = await poller.open()
            assert (await poller.ask("POST", body, sid=session.sid))[0] == 400
        assert poller.sink.closed == [Reason.BAD_PACKET] * 2


async def test_body_that_dribbles_ends_the_session() -> None:
    async with polling(body_seconds=0.1) as poller:
        session = await poller.open()
        _, writer = await asyncio.open_connection("127.0.0.1", poller.port)
        query = f"/engine.io/?EIO=4&transport=polling&sid={session.sid}"
        writer.write(f"POST {query} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4".encode())
        await until(lambda: poller.sink.closed)
        assert poller.sink.closed == [Reason.TRANSPORT_ERROR]
        writer.close()


async def test_last_packets_reach_a_client_that_polls() -> None:
    async with polling() as poller:
        session = await poller.open()
        session.write(b"\x81\x0241")
        session.finish(Reason.SERVER_DISCONNECT)
        assert poller.sink.closed == [Reason.SERVER_DISCONNECT]
        assert await poller.ask(sid=session.sid) == (200, "41")
        assert (await poller.ask(sid=session.sid))[0] == 400
        assert poller.sink.closed == [Reason.SERVER_DISCONNECT]
        waiting = await poller.open()
        poll = asyncio.create_task(poller.ask(sid=waiting.sid))
        await until(lambda: waiting.poll is not None)
        waiting.write(b"\x81\x0241")
        waiting.finish(Reason.SERVER_DISCONNECT)
        assert await poll == (200, "41")
        assert not poller.engine.sockets


async def test_last_packets_nobody_fetches_are_forgotten() -> None:
    async with polling(linger_seconds=0.05, ping_interval_seconds=0.4) as poller:
        session = await poller.open()
        session.write(b"\x81\x0241")
        session.finish(Reason.SERVER_DISCONNECT)
        await until(lambda: not poller.engine.sockets)
        assert poller.sink.closed == [Reason.SERVER_DISCONNECT]


async def test_sessions_of_other_nodes_are_passed_on() -> None:
    async def stray(request: web.Request, sid: str) -> web.StreamResponse | None:
        return web.Response(text=f"from the owner of {sid}") if sid.startswith("n2.") else None

    async with polling(stray=stray) as poller:
        assert await poller.ask(sid="n2.x") == (200, "from the owner of n2.x")
        assert await poller.ask("POST", "4a", sid="n2.x") == (200, "from the owner of n2.x")
        assert (await poller.ask(sid="n3.x"))[0] == 400


async def test_other_origins() -> None:
    async with polling(["https://app.example"]) as poller:
        for origin, status in (("https://app.example", 200), ("https://evil.example", 400), ("null", 400)):
            for method in ("GET", "OPTIONS"):
                parameters = {"EIO": "4", "transport": "polling"}
                async with poller.http.request(
                    method, poller.url, params=parameters, headers={"Origin": origin}
                ) as response:
                    assert response.status == status
                    allowed = response.headers.get("Access-Control-Allow-Origin")
                    assert allowed == (origin if status == 200 else None)
