"""Room tokens: what is signed is believed, anything else is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from state.rejections import Code, Rejection
from state.tokens import Claims, Key, KeyRing, sign, verify

NOW = 1_700_000_000
SECRET = "a secret of thirty-two characters!"
RING = KeyRing(keys={"k1": Key("k1", "HS256", SECRET, SECRET)}, active="k1")
CLAIMS = Claims(
    user_id="ann",
    room_id="hall",
    role="member",
    jti="j1",
    issued_at=NOW,
    expires_at=NOW + 3600,
    permissions=frozenset({"chat:send"}),
    name="Ann",
    avatar="https://cdn.example.com/a.png",
    level=3,
    vip=1,
    device_id="phone",
)
BODY: dict[str, Any] = {
    "iss": "flylive", "aud": "flylive", "sub": "ann", "room": "hall", "role": "member", "jti": "j1",
    "iat": NOW, "exp": NOW + 3600,
}  # fmt: skip
HEADER = {"typ": "room+jwt", "kid": "k1"}


def _token(body: dict[str, Any], header: dict[str, Any] | None = None, secret: str = SECRET) -> str:
    return jwt.encode(body, secret, algorithm="HS256", headers=HEADER | (header or {}))


def _verified(token: str, ring: KeyRing = RING, now: int = NOW) -> Claims | Rejection:
    return verify(token, ring, now * 1000)


def _code(token: str, ring: KeyRing = RING, now: int = NOW) -> Code:
    refused = _verified(token, ring, now)
    assert isinstance(refused, Rejection)
    return refused.code


def test_what_is_signed_comes_back() -> None:
    assert _verified(sign(CLAIMS, RING)) == CLAIMS
    assert CLAIMS.actor(present=True).permissions == frozenset({"chat:send"})


def test_a_foreign_library_reads_and_makes_our_tokens() -> None:
    read = jwt.decode(
        sign(CLAIMS, RING), SECRET, ["HS256"], audience="flylive", options={"verify_exp": False}
    )
    assert read["sub"] == "ann"
    made = _verified(_token(BODY))
    assert isinstance(made, Claims)
    assert made.user_id == "ann"
    assert made.permissions is None


def test_ed25519_keys() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    ring = KeyRing(keys={"e1": Key("e1", "EdDSA", public, pem)}, active="e1")
    assert _verified(sign(CLAIMS, ring), ring) == CLAIMS
    # The public key is no secret: used as one with HMAC it must not open the door.
    head, body = (_part({"typ": "room+jwt", "kid": "e1", "alg": "HS256"}), _part(BODY))
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = mac.sign(f"{head}.{body}".encode(), public.encode())
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert _code(forged, ring) is Code.TOKEN_INVALID


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_no_algorithm_is_no_signature() -> None:
    token = f"{_part(HEADER | {'alg': 'none'})}.{_part(BODY)}."
    assert _code(token) is Code.TOKEN_INVALID
    assert _code(token + "AAAA") is Code.TOKEN_INVALID


def test_keys_rotate_without_a_gap() -> None:
    other = "another secret of thirty-two chars"
    both = replace(RING, keys={**RING.keys, "k2": Key("k2", "HS256", other, other)}, active="k2")
    old, new = sign(CLAIMS, RING), sign(CLAIMS, both)
    assert _verified(old, both) == _verified(new, both) == CLAIMS
    only_new = replace(both, keys={"k2": both.keys["k2"]})
    assert _code(old, only_new) is Code.TOKEN_INVALID
    assert _verified(new, only_new) == CLAIMS


@pytest.mark.parametrize("claim", sorted(BODY))
def test_every_required_claim_is_required(claim: str) -> None:
    body = {name: value for name, value in BODY.items() if name != claim}
    assert _code(_token(body)) is Code.TOKEN_INVALID


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"}, {"aud": ["flylive"]}, {"iss": "other"}, {"sub": ""}, {"sub": "a b"}, {"sub": "a\n"},
        {"room": "x" * 65}, {"role": "god"}, {"role": None}, {"exp": "soon"}, {"iat": None}, {"perms": "all"},
        {"perms": [1]}, {"jti": ""}, {"jti": 7}, {"device_id": "a b"}, {"level": "high"}, {"name": 3},
        {"exp": NOW + 86_400 * 2}, {"iat": NOW + 60}, {"nbf": NOW + 60},
    ],
)  # fmt: skip
def test_wrong_claims_are_refused(changes: dict[str, Any]) -> None:
    assert _code(_token(BODY | changes)) is Code.TOKEN_INVALID


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"kid": "k9"}, {"kid": None}, {"crit": ["exp"]}, {"typ": None}]
)
def test_wrong_headers_are_refused(header: dict[str, Any]) -> None:
    token = f"{_part(HEADER | {'alg': 'HS256'} | header)}.{_part(BODY)}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = base64.urlsafe_b64encode(mac.sign(token.encode(), SECRET.encode())).decode().rstrip("=")
    assert _code(f"{token}.{signature}") is Code.TOKEN_INVALID


def test_another_secret_does_not_open() -> None:
    assert _code(_token(BODY, secret="x" * 40)) is Code.TOKEN_INVALID


def test_time_is_over_to_the_millisecond() -> None:
    token = _token(BODY)
    assert isinstance(verify(token, RING, (NOW + 3600) * 1000 - 1), Claims)
    refused = verify(token, RING, (NOW + 3600) * 1000)
    assert isinstance(refused, Rejection)
    assert refused.code is Code.TOKEN_EXPIRED


def test_a_token_is_for_one_room() -> None:
    assert isinstance(verify(_token(BODY), RING, NOW * 1000, room_id="hall"), Claims)
    assert isinstance(verify(_token(BODY), RING, NOW * 1000, room_id="other"), Rejection)


def test_a_verifier_can_not_sign() -> None:
    ring = KeyRing(keys={"k1": Key("k1", "HS256", SECRET)}, active="k1")
    with pytest.raises(ValueError, match="can only verify"):
        sign(CLAIMS, ring)
    assert SECRET not in repr(ring)


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    assert _code(text) is Code.TOKEN_INVALID


@given(st.integers(0, 400), st.characters(codec="ascii"))
def test_any_changed_character_is_noticed(place: int, character: str) -> None:
    token = sign(CLAIMS, RING)
    place %= len(token)
    changed = token[:place] + character + token[place + 1 :]
    verified = _verified(changed)
    # The last character of a part carries bits that base64 does not use.
    assert isinstance(verified, Rejection) or verified == CLAIMS
