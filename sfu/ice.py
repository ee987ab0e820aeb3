"""ICE-lite (RFC 8445): we answer checks and learn from them where a client is; we never send any.

A client is never asked for its credentials or candidates: whoever sends an authenticated check under our user
name is the client, from wherever it comes. The session learns up to eight addresses, and one of them is
selected: the first, then whichever the client nominates. A restart makes new credentials; the old ones stay
valid until the new ones are used, so that media never stops.

Pure: time and random names are arguments, and what has to change outside is told as a `Change`.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass

from sfu import stun
from sfu.engine import Address

CONSENT_SECONDS = 30.0
"""No check for so long: the client is gone (RFC 7675)."""
ADDRESSES_PER_SESSION = 8
TAKEOVER_SECONDS = 5.0
"""An address that another session used more recently is not given away: checks come every 2.5 s at most,
and a stolen one would silence its owner."""
USER_BYTES = 256
UFRAG_CHARACTERS = 16
PASSWORD_CHARACTERS = 32
_ALPHABET = string.ascii_letters + string.digits


def random_name(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))


@dataclass(frozen=True, slots=True)
class Change:
    """What an authenticated check means for the engine."""

    added: Address | None = None
    removed: tuple[Address, ...] = ()
    selected: Address | None = None
    """The address to send to from now on; None: as before."""


NO_CHANGE = Change()


class IceSession:
    """One client's ICE."""

    def __init__(self, now: float, name: Callable[[int], str] = random_name) -> None:
        self._name = name
        self.ufrag, self.password = name(UFRAG_CHARACTERS), name(PASSWORD_CHARACTERS)
        self.previous: tuple[str, str] | None = None
        self.addresses: dict[Address, float] = {}
        self.selected: Address | None = None
        self.nomination = -1
        self.last_check = now

    def parameters(self) -> dict[str, object]:
        return {"usernameFragment": self.ufrag, "password": self.password, "iceLite": True}

    def password_of(self, ufrag: str) -> str | None:
        if ufrag == self.ufrag:
            return self.password
        return self.previous[1] if self.previous and ufrag == self.previous[0] else None

    def restart(self) -> None:
        """New credentials. A second restart forgets the pair that was never used."""
        if self.previous is None:
            self.previous = self.ufrag, self.password
        self.ufrag, self.password = self._name(UFRAG_CHARACTERS), self._name(PASSWORD_CHARACTERS)

    def expired(self, now: float) -> bool:
        return now - self.last_check > CONSENT_SECONDS

    def checked(self, ufrag: str, address: Address, request: stun.Request, now: float) -> Change:
        """An authenticated check came from this address."""
        self.last_check = now
        restarted = ufrag == self.ufrag and self.previous is not None
        if restarted:
            self.previous, self.nomination = None, -1
        nominated = request.use_candidate
        if request.nomination is not None:
            # With renomination the higher number wins, whichever check arrives last.
            nominated = request.nomination > self.nomination
            self.nomination = max(self.nomination, request.nomination)
        nominated = nominated or restarted
        added = None if address in self.addresses else address
        removed = self._make_room() if added else ()
        self.addresses[address] = now
        if self.selected is not None and (address == self.selected or not nominated):
            return Change(added, removed)
        self.selected = address
        return Change(added, removed, address)

    def _make_room(self) -> tuple[Address, ...]:
        spare = sorted((at, a) for a, at in self.addresses.items() if a != self.selected)
        surplus = len(self.addresses) - ADDRESSES_PER_SESSION + 1
        removed = tuple(address for _, address in spare[: max(0, surplus)])
        for address in removed:
            del self.addresses[address]
        return removed

    def lose(self, address: Address) -> Change:
        """The address works no more (a stream connection closed)."""
        self.addresses.pop(address, None)
        if self.selected != address:
            return Change(None, (address,))
        self.selected = max(self.addresses, key=lambda a: self.addresses[a], default=None)
        return Change(None, (address,), self.selected)


@dataclass(slots=True)
class IceCounts:
    """Datagrams that got no answer, by reason: never logged one by one."""

    unknown_user: int = 0
    malformed: int = 0
    forged: int = 0
    refused: int = 0
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a check, and whom it concerned."""

    reply: bytes
    session: IceSession
    change: Change


class IceResponder:
    """All sessions of one socket."""

    def __init__(self) -> None:
        self._by_ufrag: dict[bytes, IceSession] = {}
        self._owner: dict[Address, IceSession] = {}
        self.counts = IceCounts()

    def add(self, session: IceSession) -> None:
        self._by_ufrag[session.ufrag.encode()] = session

    def restart(self, session: IceSession) -> None:
        before = {session.ufrag, *(session.previous or ())[:1]}
        session.restart()
        after = {session.ufrag, *(session.previous or ())[:1]}
        for ufrag in before - after:
            self._by_ufrag.pop(ufrag.encode(), None)
        self.add(session)

    def remove(self, session: IceSession) -> None:
        for ufrag in (session.ufrag, *(session.previous or ())[:1]):
            self._by_ufrag.pop(ufrag.encode(), None)
        for address in session.addresses:
            if self._owner.get(address) is session:
                del self._owner[address]

    def owner(self, address: Address) -> IceSession | None:
        return self._owner.get(address)

    def lose(self, session: IceSession, address: Address) -> Change:
        """An address of the session works no more."""
        if self._owner.get(address) is session:
            del self._owner[address]
        return session.lose(address)

    def respond(self, data: bytes, address: Address, seen: Address, now: float) -> Outcome | None:
        """`seen` is the address the client has for us: the same, except for stream connections."""
        user = stun.user_of(data)
        if user is None or len(user) > USER_BYTES:
            self.counts.malformed += 1
            return None
        raw_ufrag = user.partition(b":")[0]
        session = self._by_ufrag.get(raw_ufrag)
        if session is None:
            self.counts.unknown_user += 1
            return None
        request = stun.parse_request(data)
        ufrag = raw_ufrag.decode()
        password = (session.password_of(ufrag) or "").encode()
        if request is None or not password:
            self.counts.malformed += 1
            return None
        if not stun.is_authentic(data, request, password):
            self.counts.forged += 1
            return None
        return self._answer(request, session, ufrag, address, seen, password, now)

    def _answer(
        self,
        request: stun.Request,
        session: IceSession,
        ufrag: str,
        address: Address,
        seen: Address,
        password: bytes,
        now: float,
    ) -> Outcome | None:
        if request.unknown:
            reply = stun.error(request.transaction, 420, "Unknown Attribute", password, request.unknown)
            return Outcome(reply, session, NO_CHANGE)
        if request.controlled:
            reply = stun.error(request.transaction, 487, "Role Conflict", password)
            return Outcome(reply, session, NO_CHANGE)
        if not self._may_have(session, address, now):
            self.counts.refused += 1
            return None
        self.counts.answered += 1
        old = session.previous
        change = session.checked(ufrag, address, request, now)
        if old is not None and session.previous is None:
            self._by_ufrag.pop(old[0].encode(), None)
        for lost in change.removed:
            self._owner.pop(lost, None)
        self._owner[address] = session
        return Outcome(stun.success(request.transaction, *seen, password), session, change)

    def _may_have(self, session: IceSession, address: Address, now: float) -> bool:
        owner = self._owner.get(address)
        if owner is None or owner is session:
            return True
        if now - owner.addresses.get(address, 0.0) < TAKEOVER_SECONDS:
            return False
        owner.lose(address)
        return True


def candidates(hosts: list[str], udp_port: int, tcp_port: int) -> list[dict[str, object]]:
    """In mediasoup's shape, UDP before TCP. Old clients read `ip`, new ones `address`."""
    found: list[dict[str, object]] = []
    for protocol, port in (("udp", udp_port), ("tcp", tcp_port)):
        for number, host in enumerate(hosts):
            if not port:
                continue
            local = (10_000 if protocol == "udp" else 5_000) - 100 * number
            candidate: dict[str, object] = {
                "foundation": f"{protocol}candidate{number or ''}",
                "priority": (1 << 24) * 64 + (1 << 8) * local + 255,
                "ip": host,
                "address": host,
                "protocol": protocol,
                "port": port,
                "type": "host",
            }
            if protocol == "tcp":
                candidate["tcpType"] = "passive"
            found.append(candidate)
    return found
