"""`flylive serve`: what has to happen before the event loop turns, the cheapest refusals first.

The port is taken before anything else: a second node on the same port must not touch any data.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from realtime import logs
from realtime.cli.banner import SAMPLE_ROOM, SAMPLE_USER, banner
from realtime.cli.options import configuration, settings_parser
from realtime.cli.servers import embedded_servers, with_urls
from realtime.cli.token import room_token
from realtime.config import data_directory
from realtime.embedded.servers import EmbeddedServers
from realtime.failures import EXIT_DONE, CannotStart
from realtime.keys import Keys, with_keys
from realtime.node import Node


def serve(words: Sequence[str]) -> int:
    settings = configuration(settings_parser("serve", "Run a node until SIGTERM.").parse_args(words)).settings
    _raise_file_limit()
    with ExitStack() as stack:
        listener = stack.enter_context(bound_socket(settings.node.host, settings.node.port))
        keys = with_keys(settings, data_directory(settings))
        logs.configure(settings.log, logs.secrets_of(keys.settings))
        servers = None
        if not (settings.redis.url and settings.database.url):
            servers = embedded_servers(settings)
            urls = stack.enter_context(servers)
            keys = Keys(with_urls(keys.settings, urls), keys.origin)
        _run(keys, listener, servers)
    return EXIT_DONE


def _raise_file_limit() -> None:
    """Every client is an open file; the default of most systems is far below what they allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that holds the port and refuses connections until the node listens on it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise CannotStart(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


def _run(keys: Keys, listener: socket.socket, servers: EmbeddedServers | None) -> None:
    import uvloop

    from realtime import app

    def announce(node: Node) -> None:
        print(
            banner(
                node.url,
                key_origin=keys.origin,
                is_development=keys.are_public,
                token=room_token(node.settings, SAMPLE_ROOM, SAMPLE_USER, "owner"),
            ),
            flush=True,
        )

    uvloop.run(app.serve(keys.settings, listener, servers, announce, is_development=keys.are_public))
