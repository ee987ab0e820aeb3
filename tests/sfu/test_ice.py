"""The responder: who gets an answer, which address is used, what a restart and a thief may do."""

from __future__ import annotations

import itertools

from sfu import stun
from sfu.engine import Address
from sfu.ice import (
    ADDRESSES_PER_SESSION,
    CONSENT_SECONDS,
    TAKEOVER_SECONDS,
    IceResponder,
    IceSession,
    Outcome,
    candidates,
)

ONE, TWO = ("192.0.2.1", 1000), ("192.0.2.2", 2000)
numbers = itertools.count()


class Client:
    """Checks a session, as a browser would."""

    def __init__(self, responder: IceResponder, session: IceSession) -> None:
        self.responder, self.session = responder, session
        self.ufrag, self.password = session.ufrag, session.password

    def check(self, address: Address, now: float = 0.0, **options: int) -> Outcome | None:
        transaction = next(numbers).to_bytes(12, "big")
        data = stun.request(transaction, f"{self.ufrag}:theirs", self.password, **options)
        return self.responder.respond(data, address, address, now)


def client() -> Client:
    responder, session = IceResponder(), IceSession(0.0)
    responder.add(session)
    return Client(responder, session)


def test_a_known_user_is_answered_with_its_address() -> None:
    one = client()
    outcome = one.check(ONE)
    assert outcome is not None
    assert stun.mapped_address(outcome.reply) == ONE
    assert (outcome.change.added, outcome.change.selected) == (ONE, ONE)
    assert one.responder.owner(ONE) is one.session


def test_nobody_else_gets_a_byte() -> None:
    one = client()
    cases = [
        stun.request(bytes(12), "nobody:x", one.password),
        stun.request(bytes(12), f"{one.ufrag}:x", "wrong"),
        stun.request(bytes(12), "", one.password),
        stun.request(bytes(12), f"{one.ufrag}:{'x' * 600}", one.password),
        stun.success(bytes(12), *ONE, one.password.encode()),
        b"",
        bytes(20),
        stun.request(bytes(12), f"{one.ufrag}:x", one.password)[:-8],
    ]
    assert [one.responder.respond(data, ONE, ONE, 0.0) for data in cases] == [None] * len(cases)
    counts = one.responder.counts
    assert (counts.unknown_user, counts.forged, counts.answered) == (2, 1, 0)
    assert one.responder.owner(ONE) is None


def test_a_controlled_peer_is_told_its_role() -> None:
    one = client()
    outcome = one.check(ONE, controlled=1)
    assert outcome is not None
    assert b"Role Conflict" in outcome.reply
    assert one.session.selected is None


def test_nomination_moves_the_selected_address() -> None:
    one = client()
    one.check(ONE)
    assert one.check(TWO) is not None
    assert one.session.selected == ONE
    moved = one.check(TWO, use_candidate=1)
    assert moved is not None
    assert moved.change.selected == TWO


def test_with_renomination_the_higher_number_wins() -> None:
    one = client()
    one.check(ONE, nomination=5, use_candidate=1)
    one.check(TWO, nomination=4, use_candidate=1)
    assert one.session.selected == ONE
    one.check(TWO, nomination=6, use_candidate=1)
    assert one.session.selected == TWO


def test_old_addresses_make_room() -> None:
    one = client()
    for number in range(ADDRESSES_PER_SESSION + 3):
        outcome = one.check(("192.0.2.9", 5000 + number), now=float(number))
    assert outcome is not None
    assert len(one.session.addresses) == ADDRESSES_PER_SESSION
    assert outcome.change.removed == (("192.0.2.9", 5003),)
    assert one.session.selected == ("192.0.2.9", 5000)
    assert one.responder.owner(("192.0.2.9", 5001)) is None


def test_a_restart_keeps_the_old_credentials_until_the_new_are_seen() -> None:
    one = client()
    one.check(ONE)
    one.responder.restart(one.session)
    assert one.check(ONE) is not None
    new = Client(one.responder, one.session)
    assert new.ufrag != one.ufrag
    moved = new.check(TWO)
    assert moved is not None
    assert moved.change.selected == TWO
    assert one.check(ONE) is None


def test_a_second_restart_keeps_what_the_client_uses() -> None:
    one = client()
    one.check(ONE)
    one.responder.restart(one.session)
    unused = Client(one.responder, one.session)
    one.responder.restart(one.session)
    assert one.check(ONE) is not None
    assert unused.check(ONE) is None
    assert Client(one.responder, one.session).check(ONE) is not None


def test_an_address_in_use_is_not_given_away() -> None:
    one = client()
    other = IceSession(0.0)
    one.responder.add(other)
    thief = Client(one.responder, other)
    one.check(ONE, now=1.0)
    assert thief.check(ONE, now=2.0) is None
    assert one.responder.owner(ONE) is one.session
    assert thief.check(ONE, now=1.0 + TAKEOVER_SECONDS) is not None
    assert one.responder.owner(ONE) is other


def test_silence_ends_consent() -> None:
    one = client()
    one.check(ONE, now=5.0)
    assert not one.session.expired(5.0 + CONSENT_SECONDS)
    assert one.session.expired(5.1 + CONSENT_SECONDS)


def test_a_removed_session_is_unknown() -> None:
    one = client()
    one.check(ONE)
    one.responder.remove(one.session)
    assert one.check(ONE) is None
    assert one.responder.owner(ONE) is None


def test_candidates_prefer_udp_and_the_first_address() -> None:
    found = candidates(["192.0.2.1", "2001:db8::1"], 4000, 4000)
    assert [(c["protocol"], c["address"]) for c in found] == [
        ("udp", "192.0.2.1"),
        ("udp", "2001:db8::1"),
        ("tcp", "192.0.2.1"),
        ("tcp", "2001:db8::1"),
    ]
    priorities = [int(str(c["priority"])) for c in found]
    assert priorities == sorted(priorities, reverse=True)
    assert all(c["ip"] == c["address"] for c in found)
    assert [c.get("tcpType") for c in found] == [None, None, "passive", "passive"]
    assert len(candidates(["192.0.2.1"], 4000, 0)) == 1
