"""Socket.IO v5: the cases of the official suite above the transport, in our own words."""

import json

from tests.conformance.case import Cases, Side

SOCKETS = Cases()


async def _greeted(side: Side, packet: str, head: str, greeting: str) -> None:
    async with side.engine_socket() as socket:
        await socket.send(packet)
        answer = await socket.receive()
        assert isinstance(answer, str)
        assert answer.startswith(head)
        fields = json.loads(answer[len(head) :])
        assert list(fields) == ["sid"]
        assert isinstance(fields["sid"], str)
        assert await socket.receive() == greeting


@SOCKETS("connect: to the main namespace")
async def connects(side: Side) -> None:
    await _greeted(side, "40", "40", '42["auth",{}]')


@SOCKETS("connect: to the main namespace with a payload")
async def connects_with_payload(side: Side) -> None:
    await _greeted(side, '40{"token":"123"}', "40", '42["auth",{"token":"123"}]')


@SOCKETS("connect: to another namespace")
async def connects_elsewhere(side: Side) -> None:
    await _greeted(side, "40/custom,", "40/custom,", '42/custom,["auth",{}]')


@SOCKETS("connect: to another namespace with a payload")
async def connects_elsewhere_with_payload(side: Side) -> None:
    await _greeted(side, '40/custom,{"token":"abc"}', "40/custom,", '42/custom,["auth",{"token":"abc"}]')


@SOCKETS("connect: an unknown namespace is refused")
async def refuses_namespace(side: Side) -> None:
    async with side.engine_socket() as socket:
        await socket.send("40/random")
        assert await socket.receive() == '44/random,{"message":"Invalid namespace"}'


@SOCKETS("connect: an invalid first packet closes")
async def refuses_handshake(side: Side) -> None:
    async with side.engine_socket() as socket:
        await socket.send("4abc")
        await socket.closed()


@SOCKETS("connect: no CONNECT in time closes")
async def refuses_silence(side: Side) -> None:
    async with side.engine_socket() as socket:
        await socket.closed()


@SOCKETS("disconnect: from the main namespace, the transport stays")
async def disconnects(side: Side) -> None:
    async with side.connected() as socket:
        await socket.send("41")
        assert await socket.receive() == "2"


@SOCKETS("disconnect: from another namespace, the main one stays")
async def disconnects_elsewhere(side: Side) -> None:
    async with side.connected() as socket:
        await socket.send("40/custom")
        await socket.receive_packets(2)
        await socket.send("41/custom")
        await socket.send('42["message","message to main namespace"]')
        assert await socket.receive_packets(1) == ['42["message-back","message to main namespace"]']


@SOCKETS("message: plain text")
async def sends(side: Side) -> None:
    async with side.connected() as socket:
        await socket.send('42["message",1,"2",{"3":[true]}]')
        assert await socket.receive_packets(1) == ['42["message-back",1,"2",{"3":[true]}]']


PLACEHOLDERS = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


async def _exchange_binary(side: Side, packet: str, answer: str) -> None:
    async with side.connected() as socket:
        for part in (packet, b"\x01\x02\x03", b"\x04\x05\x06"):
            await socket.send(part)
        assert await socket.receive_packets(3) == [answer, b"\x01\x02\x03", b"\x04\x05\x06"]


@SOCKETS("message: with attachments")
async def sends_binary(side: Side) -> None:
    await _exchange_binary(side, f'452-["message",{PLACEHOLDERS}]', f'452-["message-back",{PLACEHOLDERS}]')


@SOCKETS("message: with an ack")
async def acknowledges(side: Side) -> None:
    async with side.connected() as socket:
        await socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await socket.receive_packets(1) == ['43456[1,"2",{"3":[false]}]']


@SOCKETS("message: with attachments and an ack")
async def acknowledges_binary(side: Side) -> None:
    await _exchange_binary(side, f'452-789["message-with-ack",{PLACEHOLDERS}]', f"462-789[{PLACEHOLDERS}]")


async def _closes(side: Side, packet: str) -> None:
    async with side.connected() as socket:
        await socket.send(packet)
        await socket.closed()


@SOCKETS("message: an unknown packet type closes")
async def refuses_type(side: Side) -> None:
    await _closes(side, "4abc")


@SOCKETS("message: a payload that is no list closes")
async def refuses_payload(side: Side) -> None:
    await _closes(side, "42{}")


@SOCKETS("message: a bad ack id closes")
async def refuses_ack_id(side: Side) -> None:
    await _closes(side, '42abc["message-with-ack",1,"2",{"3":[false]}]')
