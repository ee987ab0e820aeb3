"""A client that stops reading, on real sockets: it costs the others nothing, and never more than its
limit."""

import asyncio
import socket

import aiohttp

from realtime.engine.reasons import Reason
from realtime.socketio.frames import Frames
from tests.realtime.socketio.application import Recorder, listening, make_server
from tests.realtime.wire import KEY, text_frame, until

UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SOFT, HARD = 50_000, 300_000


async def test_slow_reader() -> None:
    application = Recorder()
    server = make_server(application, soft_buffer_bytes=SOFT, hard_buffer_bytes=HARD, slow_seconds=30.0)
    group = server.group()
    application.joins = [group]
    async with listening(server) as port:
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.sendall(UPGRADE.encode() + text_frame("40"))
        await until(lambda: len(application.connections) == 1)
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket") as ears,
        ):
            await ears.send_str("40")
            await until(lambda: len(application.connections) == 2)
            session = application.connections[0].peer.session
            highest = sent = 0
            while not session.closed:
                group.send(Frames("e", {"n": sent, "filler": "x" * 5000}))
                group.send_lossy(Frames("lossy", {"n": sent}))
                sent += 1
                await asyncio.sleep(0)
                while (
                    "lossy" not in (message := await ears.receive_str()) or f'"n":{sent - 1}' not in message
                ):
                    assert not message.startswith("42") or f'"n":{sent - 1}' in message
                if session.link is not None and session.link.transport is not None:
                    highest = max(highest, session.link.transport.get_write_buffer_size())
                assert sent < 10_000
            assert highest <= HARD
            await until(lambda: ("disconnect", Reason.SLOW_CONSUMER) in application.seen)
            assert len(group) == 1
        deaf.close()
