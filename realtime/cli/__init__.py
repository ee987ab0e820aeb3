"""The command line, `flylive`.

A command is one or two words and names a function by an import string, so that `--help` imports nothing and
other folders' entry points are reached without this folder importing them. A function takes the words after
its own name and returns the exit code; one that needs servers also takes the settings, with the URLs of
running servers filled in.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from realtime.failures import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, CannotStart


class Command:
    def __init__(self, entry: str, summary: str, *, needs_servers: bool = False) -> None:
        self.entry = entry
        self.summary = summary
        self.needs_servers = needs_servers


COMMANDS = {
    "serve": Command("realtime.cli.serve:serve", "run a node"),
    "sfu": Command(
        "sfu.process:main", "run a media worker alone, on a machine of its own", needs_servers=True
    ),
    "console": Command("realtime.cli.console:console", "print a one-time link to the console"),
    "token create": Command("realtime.cli.token:create", "print a room token"),
    "token inspect": Command("realtime.cli.token:inspect", "verify a room token and print its claims"),
    "migrate": Command(
        "realtime.cli.migrate:migrate", "bring the database schema up to date", needs_servers=True
    ),
    "config check": Command("realtime.cli.config:check", "say whether the configuration is valid"),
    "config print": Command("realtime.cli.config:show", "every setting with where it came from"),
    "config doc": Command("realtime.cli.config:doc", "every setting with its bounds, as Markdown"),
    "doctor": Command("realtime.cli.doctor:doctor", "check what a node needs and say what to do"),
    "healthcheck": Command("realtime.cli.healthcheck:healthcheck", "exit 0 when the node is ready"),
    "ledger verify": Command("api.cli:verify", "check every rule of the ledger", needs_servers=True),
    "ledger rebuild-boards": Command(
        "api.cli:rebuild_boards", "make the boards equal to the ledger", needs_servers=True
    ),
    "bench": Command("loadtests.cli:bench", "measure, beside the peers (--list says what)"),
    "scenario": Command("loadtests.cli:scenario", "put load on a server and judge it"),
    "record": Command("loadtests.cli:record", "write a node's traffic to a file"),
    "capacity": Command("loadtests.cli:capacity", "how much machine for how many users"),
    "replay": Command("loadtests.cli:replay", "play recorded traffic again, at any speed and width"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return EXIT_DONE if words else EXIT_USAGE
    if words[0] == "--version":
        print(_version())
        return EXIT_DONE
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS), None)
    if name is None:
        print(f"flylive: there is no command {words[0]!r}, see flylive --help", file=sys.stderr)
        return EXIT_USAGE
    try:
        return _run(COMMANDS[name], words[len(name.split()) :])
    except CannotStart as error:
        print(f"flylive: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader has seen enough (`| head`); nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _run(command: Command, words: list[str]) -> int:
    module, function = command.entry.split(":")
    entry = getattr(importlib.import_module(module), function)
    if not command.needs_servers:
        return int(entry(words))
    if {"-h", "--help"} & set(words):
        return int(entry(None, words))
    from realtime.cli.options import split_settings
    from realtime.cli.servers import reachable

    settings, rest = split_settings(words)
    with reachable(settings) as settings:
        return int(entry(settings, rest))


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: flylive COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            "flylive COMMAND --help says more of one command.",
        ]
    )


def _version() -> str:
    from importlib.metadata import version

    return version("flylive-realtime")
