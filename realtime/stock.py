"""python-engineio and python-socketio, without the message brokers and HTTP clients that they look for.

A node uses none of those, and finding them installed is a third of the time that it takes to start.
"""

from realtime.imports import without

with without("aio_pika", "aioredis", "kafka", "kombu", "redis", "requests", "valkey", "websocket", "zmq"):
    import engineio
    import socketio

__all__ = ["engineio", "socketio"]
