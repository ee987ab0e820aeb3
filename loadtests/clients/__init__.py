"""Users made for load: own framing without I/O, by WebSocket or polling, on asyncio or gevent.

frames.py        WebSocket frames of the client side
packets.py       Socket.IO packets, JSON and msgpack
conversation.py  one connection: handshake, pings, acks, events, recovery; bytes in, bytes out
machinery.py     what runs a user: asyncio, or gevent
connection.py    a user's connection, whatever carries its bytes
polling.py       HTTP long polling under it, and the upgrade
streams.py       the connection on asyncio
greenlets.py     machinery, connection and REST on gevent, for locust
rest.py          the REST calls a load test needs
audio.py         a user of the audio path: ICE, DTLS, SRTP over UDP
"""
