"""Room tokens: JWTs that say who may enter which room as what.

Verification trusts nothing that the token says about itself beyond its key id: the algorithm is that of the
key, the type and the audience are fixed, and every required claim must be there. Keys are rotated by adding
a new one, making it active, and dropping the old one after the longest lifetime.

Every connection brings a token, so that reading one has to be cheap: its parts are decoded once, strictly,
and the library does the cryptography on a key that was prepared once.
"""

import re
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import jwt
import msgspec
from jwt.utils import base64url_decode
from msgspec import Meta, Struct

from state import limits
from state.identity import Actor, Role
from state.ids import Identifier
from state.rejections import Code, Rejection

Algorithm = Literal["HS256", "EdDSA"]
AUDIENCE: Final = "flylive"
TOKEN_TYPE: Final = "room+jwt"
CLOCK_SKEW_S: Final = 5  # between the backend that signs and this machine


class Key(Struct, frozen=True):
    """One key: for HS256 both halves are the secret, for EdDSA PEM. A verifier lacks the private half."""

    kid: str
    algorithm: Algorithm
    verifying: str
    signing: str | None = None

    def __repr__(self) -> str:
        return f"Key(kid={self.kid!r}, algorithm={self.algorithm!r})"


class KeyRing(Struct, frozen=True):
    """The keys that are accepted, and the one that signs."""

    keys: dict[str, Key]
    active: str
    issuer: str = "flylive"
    lifetime_seconds_max: int = 86_400

    @property
    def signing_key(self) -> Key:
        """The active key."""
        return self.keys[self.active]


class Claims(Struct, frozen=True):
    """What a verified token says."""

    user_id: str
    room_id: str
    role: Role
    jti: str
    issued_at: int
    expires_at: int
    permissions: frozenset[str] | None = None
    name: str = ""
    avatar: str = ""
    level: int = 0
    vip: int = 0
    device_id: str | None = None

    def actor(self, *, present: bool = False) -> Actor:
        """The user as one who acts; present once it has joined the room."""
        return Actor(
            user_id=self.user_id,
            role=self.role,
            permissions=self.permissions,
            name=self.name,
            avatar=self.avatar,
            level=self.level,
            vip=self.vip,
            present=present,
        )


def sign(claims: Claims, keyring: KeyRing) -> str:
    """A token for these claims, signed with the active key."""
    key = keyring.signing_key
    if key.signing is None:
        raise ValueError(f"key {key.kid} can only verify")
    body: dict[str, Any] = {
        "iss": keyring.issuer,
        "aud": AUDIENCE,
        "sub": claims.user_id,
        "room": claims.room_id,
        "role": claims.role,
        "jti": claims.jti,
        "iat": claims.issued_at,
        "exp": claims.expires_at,
        "name": claims.name,
        "avatar": claims.avatar,
        "level": claims.level,
        "vip": claims.vip,
    }
    if claims.permissions is not None:
        body["perms"] = sorted(claims.permissions)
    if claims.device_id is not None:
        body["device_id"] = claims.device_id
    return jwt.encode(body, key.signing, algorithm=key.algorithm, headers={"typ": TOKEN_TYPE, "kid": key.kid})


def verify(token: str, keyring: KeyRing, now_ms: int, *, room_id: str | None = None) -> Claims | Rejection:
    """The claims of a good token; with `room_id`, one for that room only."""
    body = _verified_body(token, keyring)
    if isinstance(body, Rejection):
        return body
    claims = _claims(body)
    if body.nbf is not None and body.nbf > now_ms / 1000 + CLOCK_SKEW_S:
        return _invalid("not valid yet")
    if claims.expires_at - claims.issued_at > keyring.lifetime_seconds_max:
        return _invalid("the lifetime is over the maximum")
    if claims.issued_at > now_ms / 1000 + CLOCK_SKEW_S:
        return _invalid("issued in the future")
    if claims.expires_at * 1000 <= now_ms:
        return Rejection(Code.TOKEN_EXPIRED, "the token's time is over")
    if room_id is not None and claims.room_id != room_id:
        return _invalid("the token is for another room")
    return claims


def _invalid(message: str) -> Rejection:
    return Rejection(Code.TOKEN_INVALID, message)


class _Header(Struct, frozen=True):
    typ: str
    kid: str
    alg: str
    crit: msgspec.Raw | None = None


class _Body(Struct, frozen=True):
    """The claims as they stand in the token. Others may stand beside them, these are checked."""

    iss: str
    aud: str
    sub: Identifier
    room: Identifier
    role: Role
    jti: Annotated[str, Meta(min_length=1)]
    iat: int | float
    exp: int | float
    nbf: int | float | None = None
    perms: list[str] | None = None
    name: str | None = None
    avatar: str | None = None
    level: int | None = None
    vip: int | bool | None = None
    device_id: Identifier | None = None


_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_header_decoder: Final = msgspec.json.Decoder(_Header)
_body_decoder: Final = msgspec.json.Decoder(_Body)
_algorithms: Final = jwt.algorithms.get_default_algorithms()


@lru_cache(maxsize=64)
def _prepared(key: Key) -> tuple[jwt.algorithms.Algorithm, Any]:
    """The key as the library wants it; parsing PEM for every connection would be most of its cost."""
    algorithm = _algorithms[key.algorithm]
    return algorithm, algorithm.prepare_key(key.verifying)


def _verified_body(token: str, keyring: KeyRing) -> _Body | Rejection:
    if not isinstance(token, str) or len(token) > limits.TOKEN_LENGTH_MAX or not _FORM.fullmatch(token):
        return _invalid("not a token")
    signed, _, signature = token.encode().rpartition(b".")
    head, _, payload = signed.partition(b".")
    try:
        header = _header_decoder.decode(base64url_decode(head))
        key = keyring.keys.get(header.kid)
        if key is None:
            return _invalid("unknown key id")
        if header.typ != TOKEN_TYPE:
            return _invalid("another type of token")
        if header.alg != key.algorithm or header.crit is not None:
            return _invalid("another algorithm than that of the key")
        algorithm, prepared = _prepared(key)
        if not algorithm.verify(signed, prepared, base64url_decode(signature)):
            return _invalid("the signature is not right")
        body = _body_decoder.decode(base64url_decode(payload))
    except (msgspec.DecodeError, jwt.InvalidKeyError, ValueError) as error:
        return _invalid(f"malformed: {error}")
    if body.aud != AUDIENCE:
        return _invalid("the token is for another audience")
    if body.iss != keyring.issuer:
        return _invalid("the token is of another issuer")
    return body


def _claims(body: _Body) -> Claims:
    return Claims(
        user_id=body.sub,
        room_id=body.room,
        role=body.role,
        jti=body.jti,
        issued_at=int(body.iat),
        expires_at=int(body.exp),
        permissions=None if body.perms is None else frozenset(body.perms),
        name=(body.name or "")[: limits.NAME_LENGTH_MAX],
        avatar=(body.avatar or "")[: limits.URL_LENGTH_MAX],
        level=max(0, min(body.level or 0, limits.LEVEL_MAX)),
        vip=max(0, min(int(body.vip or 0), limits.LEVEL_MAX)),
        device_id=body.device_id,
    )
