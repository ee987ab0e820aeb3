"""Who calls: a backend with a service key, a user with a room token, or nobody in particular."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from state.rejections import Code, Rejection
from state.service_keys import Service, ServiceKeys
from state.tokens import Claims, KeyRing, verify

Scope = Literal["rooms", "tokens", "commands", "gifts", "wallets", "credits", "transactions", "agencies"]
BEARER: Final = "bearer "


class Anonymous(Struct, frozen=True):
    """Nobody in particular, at an address."""

    address: str


Caller = Service | Claims | Anonymous


class Doorkeeper:
    """Tells who calls."""

    def __init__(self, keys: ServiceKeys, keyring: KeyRing) -> None:
        self._keys = keys
        self._keyring = keyring

    def caller(self, authorization: str | None, address: str, now_ms: int) -> Caller | Rejection:
        """Whom an Authorization header stands for. A wrong one is refused, not taken for none."""
        if authorization is None:
            return Anonymous(address)
        if authorization[: len(BEARER)].lower() != BEARER:
            return Rejection(Code.AUTH_REQUIRED, "a bearer is expected")
        bearer = authorization[len(BEARER) :].strip()
        return self._keys.holder(bearer, now_ms) or self.claims(bearer, now_ms)

    def claims(self, token: str, now_ms: int) -> Claims | Rejection:
        """What a room token says."""
        return verify(token, self._keyring, now_ms)
