"""`flylive token`: make a room token, or look into one. Standard output has the token and nothing else."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import msgspec

from realtime.cli.options import configuration, settings_parser
from realtime.config import data_directory
from realtime.failures import EXIT_DONE, EXIT_FAILED, BadConfiguration
from realtime.keys import keyring, room_token, with_keys
from state.identity import ROLES
from state.ids import is_id
from state.rejections import Rejection
from state.tokens import verify


def create(words: Sequence[str]) -> int:
    parser = settings_parser("token create", "Print a room token and nothing else.")
    parser.add_argument("--room", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--role", choices=ROLES, default="member")
    parser.add_argument("--name", default="")
    parser.add_argument("--device", help="a newer connection of the same device replaces the older one")
    parser.add_argument("--ttl-s", type=int, help="lifetime in seconds")
    options = parser.parse_args(words)
    settings = configuration(options).settings
    for flag, value in (("--room", options.room), ("--user", options.user)):
        if not is_id(value):
            raise BadConfiguration(f"flag {flag}: an id has 1 to 64 of the characters A-Z a-z 0-9 _ -")
    maximum = settings.auth.token_lifetime_maximum_seconds
    if options.ttl_s is not None and not 1 <= options.ttl_s <= maximum:
        raise BadConfiguration(
            f"flag --ttl-s: has to be 1 to {maximum} (auth.token_lifetime_maximum_seconds)"
        )
    settings = with_keys(settings, data_directory(settings)).settings
    print(
        room_token(
            settings,
            options.room,
            options.user,
            options.role,
            name=options.name,
            device_id=options.device,
            lifetime_seconds=options.ttl_s,
        )
    )
    return EXIT_DONE


def inspect(words: Sequence[str]) -> int:
    parser = settings_parser("token inspect", "Verify a room token and print its claims.")
    parser.add_argument("token", help="the token, or - for standard input")
    options = parser.parse_args(words)
    settings = configuration(options).settings
    settings = with_keys(settings, data_directory(settings)).settings
    token = sys.stdin.read().strip() if options.token == "-" else options.token
    claims = verify(token, keyring(settings), int(time.time() * 1000))
    if isinstance(claims, Rejection):
        print(f"flylive: {claims.code}: {claims.message}", file=sys.stderr)
        return EXIT_FAILED
    print(msgspec.json.format(msgspec.json.encode(claims), indent=2).decode())
    return EXIT_DONE
