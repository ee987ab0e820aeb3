"""SRTP sessions from exported keys, over the SRTP library that pylibsrtp carries.

Protection happens in place, in the memory from which the packet is sent: `protect_in_place` is the
library's own function, called without the two copies and the allocation of `Session.protect`.
"""

from __future__ import annotations

from typing import Any

from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi, lib

from sfu.engine import Suite

REPLAY_WINDOW_PACKETS = 1024
PROFILES = {
    Suite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    Suite.AES_CM_128_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
FAILURES = (Error, ValueError)
"""What a session raises for a packet: a fault of its authentication, or of its size."""

protect_in_place: Any = lib.srtp_protect
memory: Any = ffi


def receiving(suite: Suite, key: bytes) -> Session | None:
    return _session(suite, key, Policy.SSRC_ANY_INBOUND)


def sending(suite: Suite, key: bytes) -> Session | None:
    """Refuses an index it has already used: the last guard against a repeated nonce."""
    return _session(suite, key, Policy.SSRC_ANY_OUTBOUND)


def _session(suite: Suite, key: bytes, direction: int) -> Session | None:
    if suite is Suite.PLAIN:
        return None
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=PROFILES[suite])
    policy.window_size = REPLAY_WINDOW_PACKETS
    policy.allow_repeat_tx = False
    return Session(policy)


def handle(session: Session) -> Any:
    """The library's own session, for `protect_in_place`. Valid while the session lives."""
    return session._srtp[0]
