"""The ports of a node: plain HTTP always, and https of the node's own where a browser would need it.

Browsers give a microphone to https and to localhost only. A node that listens beyond loopback without a
balancer before it (no `node.public_url`) therefore opens a second port with a certificate of its own.
"""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from realtime.config import EVERYWHERE, is_loopback
from realtime.failures import CannotStart
from realtime.web.certificate import local_address, tls_context
from state.settings import Node

HTTPS_OFFSET = 8443 - 8080


class Secure(msgspec.Struct, frozen=True):
    """The port with the node's own certificate, and the address people of the same network type."""

    socket: socket.socket
    context: ssl.SSLContext
    url: str


class Listeners(msgspec.Struct, frozen=True):
    plain: socket.socket
    secure: Secure | None = None


@contextmanager
def opened_listeners(node: Node, data: Path) -> Iterator[Listeners]:
    plain = bound_socket(node.host, node.port)
    try:
        if is_loopback(node.host) or node.public_url:
            yield Listeners(plain)
            return
        with _https_socket(node) as secure:
            yield Listeners(plain, _secure(node.host, secure, data))
    finally:
        plain.close()


def _https_socket(node: Node) -> socket.socket:
    """The configured port, else 8443 for 8080, else a free one: a second node must not miss its own."""
    if node.https_port:
        return bound_socket(node.host, node.https_port)
    try:
        return bound_socket(node.host, (node.port + HTTPS_OFFSET) % 65536 if node.port else 0)
    except CannotStart:
        return bound_socket(node.host, 0)


def _secure(host: str, listener: socket.socket, data: Path) -> Secure:
    address = local_address() if host in EVERYWHERE else host
    try:
        data.mkdir(parents=True, exist_ok=True)
        now = datetime.datetime.now(datetime.UTC)
        context = tls_context(data, list(dict.fromkeys([address, "localhost", "127.0.0.1"])), now)
    except OSError as error:
        raise CannotStart(f"{data}: the certificate cannot be written: {error.strerror}") from None
    shown = f"[{address}]" if ":" in address else address
    return Secure(listener, context, f"https://{shown}:{listener.getsockname()[1]}")


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that holds the port. It listens at once, since two sockets that are only bound may share a
    port; who connects early waits until the node serves."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        raise CannotStart(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener
