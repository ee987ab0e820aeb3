"""STUN binding messages (RFC 8489), as an ICE-lite responder needs them.

A flood of requests must cost little: `user_of` finds the user name by walking the attributes, so that a
request for nobody is dropped before anything is computed. Nothing raises on bytes from the network.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import struct
import zlib
from dataclasses import dataclass

COOKIE = 0x2112A442
COOKIE_BYTES = COOKIE.to_bytes(4, "big")
HEADER_BYTES = 20
BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111
FINGERPRINT_MASK = 0x5354554E

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
XOR_MAPPED_ADDRESS = 0x0020
PRIORITY = 0x0024
USE_CANDIDATE = 0x0025
NOMINATION = 0x0030
GOOG_NOMINATION = 0xC001
FINGERPRINT = 0x8028
ICE_CONTROLLED = 0x8029
ICE_CONTROLLING = 0x802A
KNOWN = {USERNAME, MESSAGE_INTEGRITY, PRIORITY, USE_CANDIDATE, NOMINATION}
"""Comprehension-required attributes that mean something here."""

_HEAD = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Request:
    """A binding request with everything the responder decides by."""

    transaction: bytes
    user: str
    priority: int | None
    use_candidate: bool
    nomination: int | None
    controlled: bool
    unknown: tuple[int, ...]
    integrity_at: int
    """Where MESSAGE-INTEGRITY begins."""
    fingerprinted: bool


def user_of(data: bytes) -> bytes | None:
    """The USERNAME of a binding request, or None."""
    end = len(data)
    if end < HEADER_BYTES or data[:2] != b"\0\1" or data[4:8] != COOKIE_BYTES:
        return None
    position = HEADER_BYTES
    while position + 4 <= end:
        kind, size = _ATTRIBUTE.unpack_from(data, position)
        position += 4
        if position + size > end:
            return None
        if kind == USERNAME:
            return data[position : position + size]
        position += size + (-size & 3)
    return None


def attributes(data: bytes) -> list[tuple[int, int, bytes]] | None:
    """(type, position, value) of each; None when the message is malformed."""
    end = len(data)
    if end < HEADER_BYTES or end & 3 or data[4:8] != COOKIE_BYTES:
        return None
    if int.from_bytes(data[2:4], "big") != end - HEADER_BYTES:
        return None
    found = []
    position = HEADER_BYTES
    while position < end:
        kind, size = _ATTRIBUTE.unpack_from(data, position)
        if position + 4 + size > end:
            return None
        found.append((kind, position, data[position + 4 : position + 4 + size]))
        position += 4 + size + (-size & 3)
    return found


def parse_request(data: bytes) -> Request | None:
    """The request; None for anything else, or for anything malformed."""
    if data[:2] != b"\0\1" or (found := attributes(data)) is None:
        return None
    values: dict[int, bytes] = {}
    integrity_at = 0
    fingerprinted = False
    for kind, position, value in found:
        if fingerprinted or (integrity_at and kind != FINGERPRINT):
            return None  # what follows the integrity is not protected by it
        if kind == MESSAGE_INTEGRITY:
            integrity_at = position
            if len(value) != 20:
                return None
        elif kind == FINGERPRINT:
            fingerprinted = _fingerprint(data[:position]) == value
            if not fingerprinted:
                return None
        values.setdefault(kind, value)
    if USERNAME not in values or not integrity_at:
        return None
    numbers = {kind: values[kind] for kind in (PRIORITY, NOMINATION, GOOG_NOMINATION) if kind in values}
    if any(len(value) != 4 for value in numbers.values()):
        return None
    nomination = numbers.get(NOMINATION, numbers.get(GOOG_NOMINATION))
    return Request(
        transaction=data[8:HEADER_BYTES],
        user=values[USERNAME].decode("utf-8", "replace"),
        priority=int.from_bytes(numbers[PRIORITY], "big") if PRIORITY in numbers else None,
        use_candidate=USE_CANDIDATE in values,
        nomination=None if nomination is None else int.from_bytes(nomination, "big"),
        controlled=ICE_CONTROLLED in values,
        unknown=tuple(kind for kind in values if kind < 0x8000 and kind not in KNOWN),
        integrity_at=integrity_at,
        fingerprinted=fingerprinted,
    )


def is_authentic(data: bytes, request: Request, password: bytes) -> bool:
    """The integrity covers all before it, with the length as if it were the last attribute."""
    position = request.integrity_at
    covered = data[:2] + (position + 24 - HEADER_BYTES).to_bytes(2, "big") + data[4:position]
    expected = hmac.digest(password, covered, hashlib.sha1)
    return hmac.compare_digest(expected, data[position + 4 : position + 24])


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) & 3)


def _fingerprint(covered: bytes) -> bytes:
    length = (len(covered) + 8 - HEADER_BYTES).to_bytes(2, "big")
    crc = zlib.crc32(covered[:2] + length + covered[4:])
    return (crc ^ FINGERPRINT_MASK).to_bytes(4, "big")


def message(kind: int, transaction: bytes, body: bytes, password: bytes) -> bytes:
    """With integrity and fingerprint."""
    length = len(body) + 24
    covered = _HEAD.pack(kind, length, COOKIE, transaction) + body
    covered += _attribute(MESSAGE_INTEGRITY, hmac.digest(password, covered, hashlib.sha1))
    head = _HEAD.pack(kind, length + 8, COOKIE, transaction)
    covered = head + covered[HEADER_BYTES:]
    return covered + _attribute(FINGERPRINT, _fingerprint(covered))


def success(transaction: bytes, host: str, port: int, password: bytes) -> bytes:
    return message(BINDING_SUCCESS, transaction, _mapped(transaction, host, port), password)


def error(
    transaction: bytes, code: int, reason: str, password: bytes, unknown: tuple[int, ...] = ()
) -> bytes:
    body = _attribute(ERROR_CODE, bytes([0, 0, code // 100, code % 100]) + reason.encode())
    if unknown:
        body += _attribute(UNKNOWN_ATTRIBUTES, b"".join(kind.to_bytes(2, "big") for kind in unknown))
    return message(BINDING_ERROR, transaction, body, password)


def request(transaction: bytes, user: str, password: str, **options: int) -> bytes:
    """What a client of ours sends: options are `priority`, `use_candidate`, `nomination`, `controlled`."""
    body = _attribute(USERNAME, user.encode())
    body += _attribute(PRIORITY, options.get("priority", 1).to_bytes(4, "big"))
    if options.get("controlled"):
        body += _attribute(ICE_CONTROLLED, bytes(8))
    else:
        body += _attribute(ICE_CONTROLLING, bytes(8))
    if options.get("use_candidate"):
        body += _attribute(USE_CANDIDATE, b"")
    if "nomination" in options:
        body += _attribute(GOOG_NOMINATION, options["nomination"].to_bytes(4, "big"))
    return message(BINDING_REQUEST, transaction, body, password.encode())


def mapped_address(data: bytes) -> tuple[str, int] | None:
    """The address a success answer tells; None when it is no such answer."""
    if data[:2] != BINDING_SUCCESS.to_bytes(2, "big") or (found := attributes(data)) is None:
        return None
    value = next((value for kind, _, value in found if kind == XOR_MAPPED_ADDRESS), b"")
    if len(value) not in (8, 20):
        return None
    port = int.from_bytes(value[2:4], "big") ^ COOKIE >> 16
    mask = data[4:HEADER_BYTES]
    host = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
    return socket.inet_ntop(socket.AF_INET if len(host) == 4 else socket.AF_INET6, host), port


def _mapped(transaction: bytes, host: str, port: int) -> bytes:
    host = host.removeprefix("::ffff:") if "." in host else host
    if ":" in host:
        family, raw = 2, socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    else:
        family, raw = 1, socket.inet_aton(host)
    hidden = bytes(a ^ b for a, b in zip(raw, COOKIE_BYTES + transaction, strict=False))
    value = bytes([0, family]) + (port ^ COOKIE >> 16).to_bytes(2, "big") + hidden
    return _attribute(XOR_MAPPED_ADDRESS, value)
