"""What the gateway stands on: the ports it is given, and the indexes that all its parts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from realtime.admission import Admission
from realtime.background import Background
from realtime.expiry import Expiries
from realtime.recovery import Records
from realtime.sessions import Sessions
from realtime.tap import Tap
from state.audience import Audience
from state.following import Followers
from state.inbox import Inbox
from state.ports import CommandService
from state.rooms import Rooms
from state.server import Server
from state.signals import Signals
from state.tokens import KeyRing


class Kernel(Protocol):
    """The ports of the kernel; `state.kernel.Kernel` has them all."""

    server: Server
    rooms: Rooms
    followers: Followers
    audience: Audience
    inbox: Inbox
    signals: Signals


class Parts(Struct, frozen=True):
    """Handed to every part of the gateway; each takes what it needs."""

    kernel: Kernel
    # by domain of their commands: gift, wallet, rank, rtc
    services: Mapping[str, CommandService]
    keyring: KeyRing
    admission: Admission
    records: Records
    sessions: Sessions
    expiries: Expiries
    background: Background
    tap: Tap
    # what a returning client may be sent at once; with more it would count as slow before it has read
    replay_bytes: int
    now_ms: Callable[[], int]
    new_connection_id: Callable[[], str]
