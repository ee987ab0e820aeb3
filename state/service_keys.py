"""Who holds a service key, or a pass that was made with one.

Several keys may be valid at once, each with its scopes; a key is rotated by adding the new one, moving the
backends over, and dropping the old one. What is presented is compared with every known key, by digest and in
constant time, so that time tells neither how much of a key was right nor which key it was.

A pass is what an operator's browser holds instead of a key: it may do what the console does and no more, it
ends by itself, and it is signed with the key, so that every node which knows the key knows the pass, and
dropping the key drops its passes.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from state.settings import Auth

EVERY_SCOPE: Final = "*"
CONSOLE_SCOPES: Final = frozenset({"console", "rooms", "commands", "tap"})
PASS_KIND: Final = "console"
# Milliseconds since 1970 for as long as anybody will care.
_TIME_DIGITS_MAX: Final = 15


class Service(Struct, frozen=True):
    """A backend, or an operator's console with a pass of one."""

    name: str
    scopes: frozenset[str]
    has_pass: bool = False

    def may(self, scope: str) -> bool:
        """Whether its key has this scope."""
        return EVERY_SCOPE in self.scopes or scope in self.scopes


class ServiceKeys:
    """The keys of the settings."""

    def __init__(self, auth: Auth) -> None:
        self._keys = [(key.secret, Service(key.name, frozenset(key.scopes))) for key in auth.service_keys]
        if auth.service_key:
            self._keys.append((auth.service_key, Service("service", frozenset({EVERY_SCOPE}))))

    def holder(self, presented: str, now_ms: int) -> Service | None:
        """Whom a bearer stands for. Every key is looked at, whichever is right."""
        ends_at = _end_of(presented)
        found = None
        for secret, service in self._keys:
            if _same(secret, presented):
                found = service
            elif now_ms < ends_at and _same(console_pass(secret, ends_at), presented):
                scopes = CONSOLE_SCOPES if EVERY_SCOPE in service.scopes else service.scopes & CONSOLE_SCOPES
                found = Service(f"{service.name}/console", scopes, has_pass=True)
        return found

    def may(self, presented: str, scope: str, now_ms: int) -> bool:
        """Whether a bearer is a key or a pass with this scope."""
        holder = self.holder(presented, now_ms)
        return holder is not None and holder.may(scope)

    def door(self, scope: str, now_ms: Callable[[], int]) -> Callable[[str], bool]:
        """`may` for one scope."""
        return lambda presented: self.may(presented, scope, now_ms())

    def with_scope(self, scope: str) -> str | None:
        """A key with this scope, for this program's own calls."""
        return next((secret for secret, service in self._keys if service.may(scope)), None)


def console_pass(secret: str, ends_at: int) -> str:
    """The pass of a key until this time (in milliseconds)."""
    sealed = f"{PASS_KIND}.{ends_at}"
    return f"{sealed}.{hmac.new(secret.encode(), sealed.encode(), hashlib.sha256).hexdigest()}"


def _end_of(presented: str) -> int:
    """When a pass says that it ends; 0 when it is none."""
    kind, _, rest = presented.partition(".")
    digits = rest.partition(".")[0]
    is_time = digits.isascii() and digits.isdecimal() and len(digits) <= _TIME_DIGITS_MAX
    return int(digits) if kind == PASS_KIND and is_time else 0


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(_digest(one), _digest(other))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
