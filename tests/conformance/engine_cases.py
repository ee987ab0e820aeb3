"""Engine.IO v4: the 25 cases of the official suite in our own words, against any path."""

import asyncio
import contextlib

from tests.conformance.case import (
    PING_INTERVAL_SECONDS,
    PING_TIMEOUT_SECONDS,
    WAIT_SECONDS,
    Cases,
    Side,
    check_handshake,
)

# Nothing tells a client that the server has seen its request or its end; well before the first ping, it has.
ARRIVAL_SECONDS = 0.2

TRANSPORT = Cases()  # what Socket.IO servers have to do too
MESSAGES = Cases()  # what needs a server that echoes


@TRANSPORT("polling: opens a session")
async def opens_polling(side: Side) -> None:
    status, text = await side.get("EIO=4&transport=polling")
    assert status == 200
    check_handshake(text, ["websocket"])


@TRANSPORT("polling: refuses a bad EIO parameter")
async def refuses_bad_version(side: Side) -> None:
    assert (await side.get("transport=polling"))[0] == 400
    assert (await side.get("EIO=abc&transport=polling"))[0] == 400


@TRANSPORT("polling: refuses a bad transport parameter")
async def refuses_bad_transport(side: Side) -> None:
    assert (await side.get("EIO=4"))[0] == 400
    assert (await side.get("EIO=4&transport=abc"))[0] == 400


@TRANSPORT("polling: refuses other methods")
async def refuses_bad_method(side: Side) -> None:
    assert (await side.request("POST", "EIO=4&transport=polling"))[0] == 400
    assert (await side.request("PUT", "EIO=4&transport=polling"))[0] == 400


@TRANSPORT("websocket: opens a session")
async def opens_websocket(side: Side) -> None:
    async with side.websocket() as socket:
        check_handshake(await socket.receive(), [])


@TRANSPORT("websocket: refuses a bad EIO parameter")
async def websocket_refuses_bad_version(side: Side) -> None:
    await side.refuses_websocket("transport=websocket")
    await side.refuses_websocket("EIO=abc&transport=websocket")


@TRANSPORT("websocket: refuses a bad transport parameter")
async def websocket_refuses_bad_transport(side: Side) -> None:
    await side.refuses_websocket("EIO=4")
    await side.refuses_websocket("EIO=4&transport=abc")


@MESSAGES("polling: one text packet there and back")
async def polls_one(side: Side) -> None:
    await _echoes(side, "4hello")


@MESSAGES("polling: several text packets there and back")
async def polls_several(side: Side) -> None:
    await _echoes(side, "4test1\x1e4test2\x1e4test3")


@MESSAGES("polling: text and binary packets there and back")
async def polls_binary(side: Side) -> None:
    await _echoes(side, "4hello\x1ebAQIDBA==")


async def _echoes(side: Side, payload: str) -> None:
    sid = await side.open_polling()
    assert await side.push(sid, payload) == (200, "ok")
    assert await side.poll(sid) == (200, payload)


@MESSAGES("polling: a bad packet closes the session")
async def polling_bad_packet(side: Side) -> None:
    sid = await side.open_polling()
    assert (await side.push(sid, "abc"))[0] == 400
    assert (await side.poll(sid))[0] == 400


@MESSAGES("polling: two polls at once close the session")
async def polling_twice(side: Side) -> None:
    sid = await side.open_polling()
    answers = await asyncio.gather(side.poll(sid), side.poll(sid))
    ended, refused = sorted(answers)
    assert ended == (200, "1")
    assert refused[0] in (400, 500)
    assert (await side.poll(sid))[0] == 400


@MESSAGES("polling: a poll that is given up closes the session")
async def polling_given_up(side: Side) -> None:
    sid = await side.open_polling()
    poll = asyncio.create_task(side.poll(sid))
    await asyncio.sleep(ARRIVAL_SECONDS)
    poll.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await poll
    await asyncio.sleep(ARRIVAL_SECONDS)
    assert (await side.poll(sid))[0] == 400


@MESSAGES("websocket: a text packet there and back")
async def sends_text(side: Side) -> None:
    async with side.engine_socket() as socket:
        await socket.send("4hello")
        assert await socket.receive() == "4hello"


@MESSAGES("websocket: a binary packet there and back")
async def sends_binary(side: Side) -> None:
    async with side.engine_socket() as socket:
        await socket.send(bytes([1, 2, 3, 4]))
        assert await socket.receive() == bytes([1, 2, 3, 4])


@MESSAGES("websocket: a bad packet closes the session")
async def websocket_bad_packet(side: Side) -> None:
    async with side.engine_socket() as socket:
        await socket.send("abc")
        await socket.closed()


@TRANSPORT("polling: pings, and lives on pongs")
async def polling_pings(side: Side) -> None:
    sid = await side.open_polling()
    for _ in range(3):
        assert await side.poll(sid) == (200, "2")
        assert (await side.push(sid, "3"))[0] == 200


@TRANSPORT("polling: no pong ends the session")
async def polling_ping_timeout(side: Side) -> None:
    sid = await side.open_polling()
    await asyncio.sleep(PING_INTERVAL_SECONDS + PING_TIMEOUT_SECONDS)
    status = 200
    async with asyncio.timeout(WAIT_SECONDS):  # machines are busy at times
        while status == 200:
            status, text = await side.poll(sid)
            assert status == 400 or text in ("2", "6"), text
    assert status == 400


@TRANSPORT("websocket: pings, and lives on pongs")
async def websocket_pings(side: Side) -> None:
    async with side.engine_socket() as socket:
        for _ in range(3):
            assert await socket.receive() == "2"
            await socket.send("3")


@TRANSPORT("websocket: no pong ends the session")
async def websocket_ping_timeout(side: Side) -> None:
    async with side.websocket() as socket:
        await socket.closed()


@TRANSPORT("polling: a close packet ends the session and the poll that waits")
async def polling_close(side: Side) -> None:
    sid = await side.open_polling()
    poll = asyncio.create_task(side.poll(sid))
    await asyncio.sleep(ARRIVAL_SECONDS)
    assert (await side.push(sid, "1"))[0] == 200
    assert await poll == (200, "6")
    assert (await side.poll(sid))[0] == 400


@TRANSPORT("websocket: a close packet ends the session")
async def websocket_close(side: Side) -> None:
    async with side.engine_socket() as socket:
        await socket.send("1")
        await socket.closed()


@TRANSPORT("upgrade: from polling to websocket")
async def upgrades(side: Side) -> None:
    sid = await side.open_polling()
    async with side.websocket(f"EIO=4&transport=websocket&sid={sid}") as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        assert await side.poll(sid) == (200, "6")
        await socket.send("5")
        assert await socket.receive() == "2"  # the heartbeat has moved over


@TRANSPORT("upgrade: polls of an upgraded session are refused")
async def upgraded_polls(side: Side) -> None:
    sid = await side.open_polling()
    async with side.websocket(f"EIO=4&transport=websocket&sid={sid}") as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await socket.send("5")
        await asyncio.sleep(ARRIVAL_SECONDS)
        assert (await side.poll(sid))[0] == 400
        assert await socket.receive() == "2"


@TRANSPORT("upgrade: a second websocket of an upgraded session is closed")
async def upgraded_twice(side: Side) -> None:
    sid = await side.open_polling()
    query = f"EIO=4&transport=websocket&sid={sid}"
    async with side.websocket(query) as socket:
        await socket.send("2probe")
        assert await socket.receive() == "3probe"
        await socket.send("5")
        async with side.websocket(query) as second:
            await second.closed()
        assert await socket.receive() == "2"
