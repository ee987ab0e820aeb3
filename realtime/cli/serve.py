"""`flylive serve`: what has to happen before the event loop turns, the cheapest refusals first.

The port is taken before anything else: a second node on the same port must not touch any data.
"""

from __future__ import annotations

import gc
import importlib
import resource
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from realtime import logs
from realtime.cli.banner import banner
from realtime.cli.options import configuration, settings_parser
from realtime.cli.servers import embedded_servers, with_urls
from realtime.config import data_directory
from realtime.development import SAMPLE_ROOM, SAMPLE_USER
from realtime.embedded.servers import EmbeddedServers
from realtime.failures import EXIT_DONE
from realtime.keys import Keys, room_token, with_keys
from realtime.listeners import Listeners, opened_listeners
from realtime.node import Node


def serve(words: Sequence[str]) -> int:
    settings = configuration(settings_parser("serve", "Run a node until SIGTERM.").parse_args(words)).settings
    _raise_file_limit()
    with ExitStack() as stack:
        data = data_directory(settings)
        listeners = stack.enter_context(opened_listeners(settings.node, data))
        keys = with_keys(settings, data)
        logs.configure(settings.log, logs.secrets_of(keys.settings))
        servers = None
        if not (settings.redis.url and settings.database.url):
            servers = embedded_servers(settings)
            stack.callback(servers.stop)
            keys = Keys(with_urls(keys.settings, servers.start(meanwhile=_load)), keys.origin)
        _run(keys, listeners, servers)
    return EXIT_DONE


def _raise_file_limit() -> None:
    """Every client is an open file; the default of most systems is far below what they allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _load() -> None:
    """Imports the node. Thousands of objects that all stay: looking for rubbish among them only delays it."""
    gc.disable()
    importlib.import_module("realtime.app")
    gc.enable()


def _run(keys: Keys, listeners: Listeners, servers: EmbeddedServers | None) -> None:
    _load()
    import uvloop

    from realtime import app

    def announce(node: Node) -> None:
        print(
            banner(
                node.url,
                key_origin=keys.origin,
                is_development=keys.are_public,
                token=room_token(node.settings, SAMPLE_ROOM, SAMPLE_USER, "owner"),
                secure_url=listeners.secure.url if listeners.secure else "",
            ),
            flush=True,
        )

    uvloop.run(app.serve(keys.settings, listeners, servers, announce, is_development=keys.are_public))
