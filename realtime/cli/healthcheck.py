"""`flylive healthcheck`: for a container's health check; exit 0 when the node answers that it is ready."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence

from realtime.cli.options import configuration, settings_parser
from realtime.config import EVERYWHERE
from realtime.failures import EXIT_DONE, EXIT_FAILED

SECONDS = 5.0


def healthcheck(words: Sequence[str]) -> int:
    parser = settings_parser("healthcheck", "Exit 0 when the node at the configured port is ready.")
    parser.add_argument("--live", action="store_true", help="ask only whether the process answers")
    options = parser.parse_args(words)
    node = configuration(options).settings.node
    host = EVERYWHERE.get(node.host, node.host)
    connection = http.client.HTTPConnection(host, node.port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz" if options.live else "/readyz")
        answer = connection.getresponse()
        body = answer.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        print(f"flylive: no answer from {host} port {node.port}: {error}", file=sys.stderr)
        return EXIT_FAILED
    finally:
        connection.close()
    print(body)
    return EXIT_DONE if answer.status == 200 else EXIT_FAILED
