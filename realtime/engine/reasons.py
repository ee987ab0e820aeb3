"""Why a session ended. The first five are the words Socket.IO itself uses; the others are ours.

`resumable` decides whether the client may come back to the same session: whoever left on purpose, was sent
away, or broke the protocol starts anew.
"""

from enum import StrEnum


class Reason(StrEnum):
    CLIENT_DISCONNECT = "client disconnect"
    SERVER_DISCONNECT = "server disconnect"
    PING_TIMEOUT = "ping timeout"
    TRANSPORT_CLOSE = "transport close"
    TRANSPORT_ERROR = "transport error"
    BAD_PACKET = "bad packet"
    CONNECT_TIMEOUT = "connect timeout"
    SLOW_CONSUMER = "slow consumer"
    SERVER_SHUTDOWN = "server shutting down"
    REPLACED = "resumed elsewhere"


FINAL = frozenset({Reason.CLIENT_DISCONNECT, Reason.SERVER_DISCONNECT, Reason.BAD_PACKET})


def resumable(reason: str) -> bool:
    return reason not in FINAL


class BadPacket(Exception):
    """The client broke the protocol or a limit: its session is closed."""
