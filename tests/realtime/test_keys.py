"""Keys for those who configured none: public ones on loopback, private ones elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from realtime.failures import BadConfiguration, CannotStart
from realtime.keys import DEVELOPMENT_SERVICE_KEY, DEVELOPMENT_TOKEN_KEY, keyring, room_token, with_keys
from state.rejections import Code, Rejection
from state.settings import Auth, Node, Settings, TokenKey
from state.tokens import Claims, verify


def _now_ms() -> int:
    return int(time.time() * 1000)


def test_on_loopback_the_development_keys_hold(tmp_path: Path) -> None:
    keys = with_keys(Settings(), tmp_path)
    assert keys.are_public
    assert keys.settings.auth.service_key == DEVELOPMENT_SERVICE_KEY
    assert keys.settings.auth.token_keys == (DEVELOPMENT_TOKEN_KEY,)
    assert list(tmp_path.iterdir()) == []


def test_bound_wider_keys_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    wide = Settings(node=Node(host="0.0.0.0"))
    first = with_keys(wide, tmp_path / "data")
    again = with_keys(wide, tmp_path / "data")
    file = tmp_path / "data" / "keys.json"
    assert first == again
    assert not first.are_public
    assert file.stat().st_mode & 0o777 == 0o600
    assert first.settings.auth.service_key in file.read_text()
    assert first != with_keys(wide, tmp_path / "other")


def test_a_token_made_beside_a_wider_node_is_good_for_it(tmp_path: Path) -> None:
    """`flylive token create` does not know which address the node was told; the data directory is enough."""
    wide = with_keys(Settings(node=Node(host="0.0.0.0")), tmp_path).settings
    beside = with_keys(Settings(), tmp_path).settings
    token = room_token(beside, "lobby", "ada")
    assert isinstance(verify(token, keyring(wide), _now_ms()), Claims)
    assert isinstance(verify(token, keyring(beside), _now_ms()), Claims)


def test_a_configured_service_key_alone_leaves_the_token_keys_to_us(tmp_path: Path) -> None:
    keys = with_keys(Settings(auth=Auth(service_key="mine")), tmp_path)
    assert keys.settings.auth.service_key == "mine"
    assert keys.settings.auth.token_keys == (DEVELOPMENT_TOKEN_KEY,)
    assert keys.origin == "your configuration"
    assert not keys.are_public


def test_bound_wider_a_development_token_is_refused(tmp_path: Path) -> None:
    token = room_token(with_keys(Settings(), tmp_path).settings, "lobby", "ada")
    wide = with_keys(Settings(node=Node(host="0.0.0.0")), tmp_path).settings
    refusal = verify(token, keyring(wide), _now_ms())
    assert isinstance(refusal, Rejection)
    assert refusal.code == Code.TOKEN_INVALID


def test_configured_keys_are_taken_as_they_are(tmp_path: Path) -> None:
    auth = Auth(service_key="a-configured-service-key", token_keys=(TokenKey("main", "s" * 40),))
    keys = with_keys(Settings(auth=auth), tmp_path)
    assert keys.settings.auth == auth
    assert not keys.are_public


def test_an_unreadable_key_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(CannotStart, match="keys cannot be read"):
        with_keys(Settings(node=Node(host="0.0.0.0")), tmp_path)
    assert (tmp_path / "keys.json").read_text() == "{"


def _ed25519() -> tuple[str, str]:
    private = Ed25519PrivateKey.generate()
    private_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private_pem.decode(), public_pem.decode()


def _settings(*keys: TokenKey) -> Settings:
    return Settings(auth=Auth(service_key="a-configured-service-key", token_keys=keys))


def test_an_edwards_key_signs_and_its_public_half_verifies() -> None:
    private, public = _ed25519()
    token = room_token(_settings(TokenKey("ed", private, "EdDSA")), "lobby", "ada", "owner")
    claims = verify(token, keyring(_settings(TokenKey("ed", public, "EdDSA"))), _now_ms())
    assert isinstance(claims, Claims)
    assert (claims.user_id, claims.room_id, claims.role) == ("ada", "lobby", "owner")


def test_keys_rotate_without_a_gap() -> None:
    old, new = TokenKey("old", "o" * 40), TokenKey("new", "n" * 40)
    before = room_token(_settings(old), "lobby", "ada")
    rotated = _settings(new, old)
    assert isinstance(verify(before, keyring(rotated), _now_ms()), Claims)
    assert isinstance(verify(room_token(rotated, "lobby", "ada"), keyring(_settings(new)), _now_ms()), Claims)
    assert isinstance(verify(before, keyring(_settings(new)), _now_ms()), Rejection)


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="ed is not an Ed25519 key"):
        keyring(_settings(TokenKey("ed", "x" * 40, "EdDSA")))
