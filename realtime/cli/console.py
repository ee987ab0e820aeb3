"""`flylive console`: a one-time link to a running node's console. Standard output has the link alone."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus

from realtime.cli.options import configuration, settings_parser
from realtime.config import EVERYWHERE, data_directory
from realtime.failures import EXIT_DONE, CannotStart
from realtime.keys import with_keys
from state.service_keys import ServiceKeys

SECONDS = 5.0


def console(words: Sequence[str]) -> int:
    parser = settings_parser("console", "Print a one-time link to the console of a running node.")
    parser.add_argument("--url", help="the node, when it is not the one of this configuration")
    options = parser.parse_args(words)
    settings = configuration(options).settings
    settings = with_keys(settings, data_directory(settings)).settings
    key = ServiceKeys(settings.auth).with_scope("console")
    if key is None:
        raise CannotStart("no configured service key has the scope `console`")
    node = settings.node
    link, seconds = _ask(options.url or f"http://{EVERYWHERE.get(node.host, node.host)}:{node.port}", key)
    print(f"Good for one visit within {seconds // 60} minutes:", file=sys.stderr)
    print(link)
    return EXIT_DONE


def _ask(url: str, key: str) -> tuple[str, int]:
    request = urllib.request.Request(
        f"{url.rstrip('/')}/v1/console/links", method="POST", headers={"Authorization": f"Bearer {key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            data = json.loads(answer.read())["data"]
    except urllib.error.HTTPError as error:
        told = f"it answered {error.code}"
        if error.code == HTTPStatus.UNAUTHORIZED:
            told = "it does not know this configuration's key"
        raise CannotStart(f"{url} made no link: {told}") from None
    except (OSError, ValueError, KeyError) as error:
        raise CannotStart(f"no node answers at {url} (see --url, --port): {error}") from None
    return str(data["link"]), int(data["seconds"])
