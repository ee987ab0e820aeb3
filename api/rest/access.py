"""Who calls: a backend with a service key, a user with a room token, or nobody in particular.

Several service keys may be valid at once, each with its scopes; a key is rotated by adding the new one,
moving the backends over, and dropping the old one. A presented key is compared with every known one, by
digest and in constant time, so that time tells neither how much of a key was right nor which key it was.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from state.rejections import Code, Rejection
from state.settings import Auth
from state.tokens import Claims, KeyRing, verify

Scope = Literal["rooms", "tokens", "commands", "gifts", "wallets", "credits", "transactions", "agencies"]
EVERY_SCOPE: Final = "*"
BEARER: Final = "bearer "


class Service(Struct, frozen=True):
    """A backend."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether its key has this scope."""
        return EVERY_SCOPE in self.scopes or scope in self.scopes


class Anonymous(Struct, frozen=True):
    """Nobody in particular, at an address."""

    address: str


Caller = Service | Claims | Anonymous


class Doorkeeper:
    """Tells who calls."""

    def __init__(self, keys: Sequence[tuple[str, str, frozenset[str]]], keyring: KeyRing) -> None:
        self._keys = [(_digest(secret), Service(name, scopes)) for name, secret, scopes in keys]
        self._keyring = keyring

    def service(self, secret: str) -> Service | None:
        """The backend that holds this key. Every key is looked at, whichever is right."""
        presented = _digest(secret)
        found = None
        for digest, service in self._keys:
            if hmac.compare_digest(digest, presented):
                found = service
        return found

    def caller(self, authorization: str | None, address: str, now_ms: int) -> Caller | Rejection:
        """Whom an Authorization header stands for. A wrong one is refused, not taken for none."""
        if authorization is None:
            return Anonymous(address)
        if authorization[: len(BEARER)].lower() != BEARER:
            return Rejection(Code.AUTH_REQUIRED, "a bearer is expected")
        bearer = authorization[len(BEARER) :].strip()
        return self.service(bearer) or self.claims(bearer, now_ms)

    def claims(self, token: str, now_ms: int) -> Claims | Rejection:
        """What a room token says."""
        return verify(token, self._keyring, now_ms)


def service_keys(auth: Auth) -> list[tuple[str, str, frozenset[str]]]:
    """The configured keys as (name, secret, scopes)."""
    keys = [(key.name, key.secret, frozenset(key.scopes)) for key in auth.service_keys]
    if auth.service_key:
        keys.append(("service", auth.service_key, frozenset({EVERY_SCOPE})))
    return keys


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
