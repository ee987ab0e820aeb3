"""One-time links to the console, for an operator who shall not type a service key.

`flylive console` asks a node for a link with its key. The link's secret stands behind the `#`, which browsers
send to nobody and nobody logs; the page hands it in once, in a body, and gets a pass (see `service_keys`)
that ends by itself. Redis knows the secret by its digest only. What was handed in is remembered as used for
as long as it could have been good, so that a second try is told the truth, on whichever node.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

import msgspec

from realtime.console.answers import Refused
from state.keys import Keys
from state.server import Server
from state.service_keys import console_pass

LINK_SECONDS: Final = 300
SESSION_SECONDS: Final = 3600
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_USED: Final = b"used"


class Session(msgspec.Struct, frozen=True):
    """What a link is exchanged for."""

    token: str
    ends_at: int


class Links:
    """Made on one node, handed in on any."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self._server, self._keys = server, keys

    async def make(self, service_key: str, now_ms: int) -> str:
        """The secret of a new link to a session with this key's pass."""
        secret = secrets.token_urlsafe(32)
        ends_at = now_ms + SESSION_SECONDS * 1000
        session = Session(console_pass(service_key, ends_at), ends_at)
        encoded = msgspec.json.encode(session)
        await self._server.execute("SET", self._key(secret), encoded, "EX", LINK_SECONDS)
        return secret

    async def redeem(self, secret: str) -> Session:
        """The session, to the first who asks."""
        found = None
        if _SECRET.fullmatch(secret):
            key = self._key(secret)
            found = await self._server.execute("SET", key, _USED, "XX", "KEEPTTL", "GET")
        if found is None:
            late = f"This link is older than {LINK_SECONDS // 60} minutes, or never was one."
            raise Refused(410, "LINK_EXPIRED", late)
        if found == _USED:
            raise Refused(409, "LINK_USED", "This link was used already.")
        return msgspec.json.decode(found, type=Session)

    def _key(self, secret: str) -> str:
        return self._keys.console_link(hashlib.sha256(secret.encode()).hexdigest())
