"""Our two suites: name -> path on the server, cases."""

from tests.conformance.engine_cases import MESSAGES, TRANSPORT
from tests.conformance.socket_cases import SOCKETS

SUITES = {
    "engine.io v4": ("/engine.io/", [*TRANSPORT, *MESSAGES]),
    "socket.io v5": ("/socket.io/", [*TRANSPORT, *SOCKETS]),
}
