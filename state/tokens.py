"""Room tokens: JWTs that say who may enter which room as what.

Verification trusts nothing that the token says about itself beyond its key id: the algorithm is that of the
key, the type and the audience are fixed, and every required claim must be there. Keys are rotated by adding
a new one, making it active, and dropping the old one after the longest lifetime.
"""

from typing import Any, Final, Literal, get_args

import jwt
from msgspec import Struct

from state import limits
from state.identity import Actor, Role
from state.ids import is_id
from state.rejections import Code, Rejection

Algorithm = Literal["HS256", "EdDSA"]
AUDIENCE: Final = "flylive"
TOKEN_TYPE: Final = "room+jwt"
REQUIRED: Final = ("iss", "aud", "sub", "room", "role", "jti", "iat", "exp")
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
    if isinstance(claims, Rejection):
        return claims
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


def _verified_body(token: str, keyring: KeyRing) -> dict[str, Any] | Rejection:
    if not isinstance(token, str) or len(token) > limits.TOKEN_LENGTH_MAX:
        return _invalid("not a token")
    try:
        header = jwt.get_unverified_header(token)
        key = keyring.keys.get(str(header.get("kid")))
        if key is None:
            return _invalid("unknown key id")
        if header.get("typ") != TOKEN_TYPE:
            return _invalid("another type of token")
        body: dict[str, Any] = jwt.decode(
            token,
            key.verifying,
            algorithms=[key.algorithm],
            audience=AUDIENCE,
            issuer=keyring.issuer,
            # Times are judged by the clock that was handed in, not by the library's.
            options={
                "require": list(REQUIRED),
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.InvalidTokenError, ValueError, UnicodeError) as error:
        return _invalid(str(error))
    return body


def _claims(body: dict[str, Any]) -> Claims | Rejection:
    user_id, room_id, role = body["sub"], body["room"], body["role"]
    if not (is_id(user_id) and is_id(room_id) and isinstance(body["jti"], str)):
        return _invalid("malformed ids")
    if role not in get_args(Role):
        return _invalid("unknown role")
    times = (body["iat"], body["exp"], body.get("level", 0), body.get("vip", 0))
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in times):
        return _invalid("malformed numbers")
    permissions = body.get("perms")
    if permissions is not None and not (
        isinstance(permissions, list) and all(isinstance(name, str) for name in permissions)
    ):
        return _invalid("malformed permissions")
    name, avatar, device_id = body.get("name") or "", body.get("avatar") or "", body.get("device_id")
    if not (isinstance(name, str) and isinstance(avatar, str) and (device_id is None or is_id(device_id))):
        return _invalid("malformed profile")
    return Claims(
        user_id=user_id,
        room_id=room_id,
        role=role,
        jti=body["jti"],
        issued_at=int(body["iat"]),
        expires_at=int(body["exp"]),
        permissions=None if permissions is None else frozenset(permissions),
        name=name[: limits.NAME_LENGTH_MAX],
        avatar=avatar[: limits.URL_LENGTH_MAX],
        level=int(body.get("level", 0)),
        vip=int(body.get("vip", 0)),
        device_id=device_id,
    )
