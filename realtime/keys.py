"""Keys for those who configured none.

On loopback there are development keys that everybody knows: a token can be made and used at once, by this
machine only. A node that listens wider never accepts them; it makes keys of its own, once, and keeps them in
`keys.json` (mode 0600) in the data directory.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization

from realtime.config import is_loopback
from realtime.failures import BadConfiguration, CannotStart
from state.identity import Role
from state.ids import new_id
from state.settings import Settings, TokenKey
from state.tokens import Claims, Key, KeyRing, sign

DEVELOPMENT_SERVICE_KEY = "development-service-key"
DEVELOPMENT_TOKEN_KEY = TokenKey(kid="development", secret="development-token-key-for-loopback-only")
KEYS_FILE = "keys.json"


class StoredKeys(msgspec.Struct, frozen=True):
    service_key: str
    token_secret: str

    @property
    def token_key(self) -> TokenKey:
        return TokenKey(kid="generated", secret=self.token_secret)


class Keys(msgspec.Struct, frozen=True):
    """The settings with keys filled in, and where the service key came from."""

    settings: Settings
    origin: str

    @property
    def are_public(self) -> bool:
        return self.settings.auth.service_key == DEVELOPMENT_SERVICE_KEY


def with_keys(settings: Settings, data: Path) -> Keys:
    """Fills in what the configuration leaves open, so that every part finds a key."""
    auth = settings.auth
    is_configured = bool(auth.service_key or auth.service_keys)
    if is_configured and auth.token_keys:
        return Keys(settings, "your configuration")
    file = data / KEYS_FILE
    if is_loopback(settings.node.host):
        service_key, origin = DEVELOPMENT_SERVICE_KEY, "development"
        token_keys = (*_stored_token_keys(file), DEVELOPMENT_TOKEN_KEY)
    else:
        stored = _stored_keys(file) or _new_keys(file)
        service_key, origin = stored.service_key, str(file)
        token_keys = (stored.token_key,)
    filled = msgspec.structs.replace(
        auth,
        service_key=auth.service_key if is_configured else service_key,
        token_keys=auth.token_keys or token_keys,
    )
    origin = "your configuration" if is_configured else origin
    return Keys(msgspec.structs.replace(settings, auth=filled), origin)


def keyring(settings: Settings) -> KeyRing:
    """The keys of room tokens; the first of the configuration signs."""
    auth = settings.auth
    keys = {key.kid: _key(key) for key in auth.token_keys}
    return KeyRing(
        keys=keys,
        active=auth.token_keys[0].kid,
        issuer=auth.issuer,
        lifetime_seconds_max=auth.token_lifetime_maximum_seconds,
    )


def room_token(
    settings: Settings,
    room_id: str,
    user_id: str,
    role: Role = "member",
    *,
    name: str = "",
    device_id: str | None = None,
    lifetime_seconds: int | None = None,
) -> str:
    """A token that is valid from now on, signed with the active key of the settings."""
    now = int(time.time())
    claims = Claims(
        user_id=user_id,
        room_id=room_id,
        role=role,
        jti=new_id(os.urandom(16), now * 1000),
        issued_at=now,
        expires_at=now + (lifetime_seconds or settings.auth.token_lifetime_seconds),
        name=name or user_id,
        device_id=device_id,
    )
    return sign(claims, keyring(settings))


def _key(key: TokenKey) -> Key:
    if key.algorithm == "HS256":
        return Key(kid=key.kid, algorithm="HS256", verifying=key.secret, signing=key.secret)
    try:
        if "PRIVATE" not in key.secret:
            serialization.load_pem_public_key(key.secret.encode())
            return Key(kid=key.kid, algorithm="EdDSA", verifying=key.secret)
        public = serialization.load_pem_private_key(key.secret.encode(), password=None).public_key()
    except ValueError:
        raise BadConfiguration(f"auth.token_keys: {key.kid} is not an Ed25519 key in PEM") from None
    verifying = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    return Key(kid=key.kid, algorithm="EdDSA", verifying=verifying, signing=key.secret)


def _stored_token_keys(path: Path) -> tuple[TokenKey, ...]:
    """A data directory that once had a node with keys of its own: tokens made beside it are signed with
    them, whichever address the command was told."""
    stored = _stored_keys(path)
    return (stored.token_key,) if stored is not None else ()


def _stored_keys(path: Path) -> StoredKeys | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredKeys)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise CannotStart(f"{path}: keys cannot be read: {error}") from None


def _new_keys(path: Path) -> StoredKeys:
    keys = StoredKeys(service_key=secrets.token_urlsafe(32), token_secret=secrets.token_urlsafe(48))
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(keys))
        draft.rename(path)
    except OSError as error:
        raise CannotStart(f"{path}: keys cannot be written: {error.strerror}") from None
    return keys
