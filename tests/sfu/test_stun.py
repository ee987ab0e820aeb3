"""STUN: against aioice's codec, both ways, and against bytes that are none."""

from __future__ import annotations

import pytest
from aioice import stun as theirs
from hypothesis import given
from hypothesis import strategies as st

from sfu import stun

TRANSACTION = bytes(range(12))
KEY = b"secret-password"


def their_request(**attributes: object) -> bytes:
    message = theirs.Message(theirs.Method.BINDING, theirs.Class.REQUEST, TRANSACTION)
    message.attributes["USERNAME"] = "ours:theirs"
    message.attributes["PRIORITY"] = 7
    for name, value in attributes.items():
        message.attributes[name.replace("_", "-")] = value
    message.add_message_integrity(KEY)
    return bytes(message)


def test_a_request_of_aioice_is_understood() -> None:
    data = their_request(USE_CANDIDATE=None, ICE_CONTROLLING=5)
    assert stun.user_of(data) == b"ours:theirs"
    request = stun.parse_request(data)
    assert request is not None
    assert (request.user, request.priority, request.use_candidate) == ("ours:theirs", 7, True)
    assert (request.controlled, request.unknown, request.fingerprinted) == (False, (), True)
    assert stun.is_authentic(data, request, KEY)
    assert not stun.is_authentic(data, request, b"other")


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::9", "::ffff:192.0.2.7"])
def test_aioice_understands_our_answers(host: str) -> None:
    message = theirs.parse_message(stun.success(TRANSACTION, host, 40_000, KEY))
    assert message.check_message_integrity(KEY)
    assert message.message_class == theirs.Class.RESPONSE
    assert message.attributes["XOR-MAPPED-ADDRESS"] == (host.removeprefix("::ffff:"), 40_000)
    refusal = theirs.parse_message(stun.error(TRANSACTION, 487, "Role Conflict", KEY))
    assert refusal.check_message_integrity(KEY)
    assert refusal.attributes["ERROR-CODE"] == (487, "Role Conflict")


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::9"])
def test_we_read_our_own_answers(host: str) -> None:
    assert stun.mapped_address(stun.success(TRANSACTION, host, 1, KEY)) == (host, 1)


def test_aioice_understands_our_requests() -> None:
    data = stun.request(TRANSACTION, "a:b", "p", use_candidate=1, nomination=3)
    message = theirs.parse_message(data)
    assert message.check_message_integrity(b"p")
    assert message.attributes["USERNAME"] == "a:b"
    request = stun.parse_request(data)
    assert request is not None
    assert (request.use_candidate, request.nomination) == (True, 3)


@given(st.binary(max_size=120))
def test_bytes_from_the_network_never_raise(data: bytes) -> None:
    stun.user_of(data)
    stun.parse_request(data)
    stun.mapped_address(data)


@given(st.data())
def test_a_changed_byte_is_never_believed(data: st.DataObject) -> None:
    whole = their_request()
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[position] ^= data.draw(st.integers(1, 255))
    request = stun.parse_request(bytes(changed))
    assert request is None or not stun.is_authentic(bytes(changed), request, KEY)


def test_what_follows_the_integrity_is_refused() -> None:
    data = their_request()
    body = data[20:-8] + b"\x00\x25\x00\x00"
    assert stun.parse_request(data[:2] + len(body).to_bytes(2, "big") + data[4:20] + body) is None
