"""Engine.IO over HTTP: a GET that waits for packets, a POST that brings some.

aiohttp does not tell a handler that its client has gone, unless every handler of the application is to be
cancelled then. A GET that waits therefore puts a `Watch` between the transport and aiohttp's protocol: it
passes everything on and notes the end of the connection.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Generic, Protocol, TypeVar, cast

from aiohttp import web

from realtime.engine.limits import Limits
from realtime.engine.reasons import BadPacket, Reason
from realtime.engine.requests import Refused
from realtime.engine.session import CLOSE_PACKET, ENDING, POLLING, Consumer, Session

SEPARATOR = "\x1e"
T = TypeVar("T")


class Owner(Protocol):
    """The engine, as a POST sees it."""

    limits: Limits
    consumer: Consumer

    def packet(self, session: Session, text: str) -> None: ...


class Watch(asyncio.Protocol, Generic[T]):
    def __init__(self, inner: asyncio.Protocol, lost: asyncio.Future[T]) -> None:
        self._inner, self._lost = inner, lost

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._lost.done():
            self._lost.cancel()
        self._inner.connection_lost(error)


async def answer_poll(session: Session, request: web.Request) -> bytes:
    """The body of a GET: what waits, else what comes next, else (upgrading, closed) a NOOP or the end."""
    if session.poll is not None:
        session.close(Reason.TRANSPORT_ERROR, final=CLOSE_PACKET)
        raise Refused("Duplicate poll")
    if not session.pending and session.state == POLLING:
        session.poll = asyncio.get_running_loop().create_future()
        try:
            await while_connected(session.poll, request)
        except asyncio.CancelledError:  # the client has gone, or the server stops
            session.close(Reason.TRANSPORT_ERROR)
            raise
        finally:
            session.poll = None
    payload = session.take_payload()
    if session.state == ENDING:
        session.close(Reason.SERVER_DISCONNECT)
    return payload


async def while_connected(poll: asyncio.Future[T], request: web.Request) -> T:
    """The result of the future, which is cancelled when the client goes first."""
    transport = request.transport
    if transport is None:
        raise asyncio.CancelledError
    protocol = cast("asyncio.Protocol", transport.get_protocol())
    transport.set_protocol(Watch(protocol, poll))
    try:
        return await poll
    finally:
        transport.set_protocol(protocol)


async def take_post(engine: Owner, session: Session, request: web.Request) -> None:
    limit = engine.limits.message_bytes
    if session.posting or (request.content_length or 0) > limit:
        session.close(Reason.BAD_PACKET)
        raise Refused("Overlapping POST" if session.posting else "Payload too large")
    session.posting = True
    try:
        async with asyncio.timeout(engine.limits.body_seconds):
            body = await request.read()
        if len(body) > limit:
            raise BadPacket("payload too large")
        await _packets(engine, session, body.decode())
    except (BadPacket, UnicodeDecodeError) as error:
        session.close(Reason.BAD_PACKET)
        raise Refused("Bad packet") from error
    except (TimeoutError, OSError) as error:
        session.close(Reason.TRANSPORT_ERROR)
        raise Refused("Incomplete request") from error
    finally:
        session.posting = False


async def _packets(engine: Owner, session: Session, payload: str) -> None:
    for packet in payload.split(SEPARATOR):
        if session.reading_paused:
            session.resumed = asyncio.get_running_loop().create_future()
            await session.resumed
        if session.closed:
            return
        if packet[:1] == "b":
            engine.consumer.on_message(session, _binary(packet))
        else:
            engine.packet(session, packet)


def _binary(packet: str) -> bytes:
    try:
        return b64decode(packet[1:], validate=True)
    except ValueError as error:  # its characters, also beyond ASCII, or their number
        raise BadPacket("bad base64") from error
