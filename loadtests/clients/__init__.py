"""Users made for load: own Engine.IO and Socket.IO framing without I/O, driven by asyncio or by gevent.

frames.py        WebSocket frames of the client side
packets.py       Socket.IO packets, JSON and msgpack
conversation.py  one connection: handshake, pings, acks, events, recovery; bytes in, bytes out
streams.py       the conversation on asyncio
greenlets.py     the conversation on gevent, for locust
rest.py          the REST calls a load test needs
audio.py         a user of the audio path: ICE, DTLS, SRTP over UDP
"""
