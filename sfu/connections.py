"""One client's transport: its ICE, its handshake, its place in the engine, and what goes through it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sfu.dtls import Certificate, Dtls, Link, Pacer, parse_parameters
from sfu.engine import Address, Engine, Handle, Suite
from sfu.ice import Change, IceSession
from sfu.ortc import RtpParameters
from state.ports import Caller


@dataclass(slots=True)
class MediaProducer:
    """A user's voice as it arrives."""

    id: str
    handle: Handle
    user_id: str
    parameters: RtpParameters
    transport: ClientTransport
    is_allowed: bool = False


@dataclass(slots=True)
class MediaConsumer:
    """A voice, or a slot, as it leaves."""

    id: str
    handle: Handle
    ssrc: int
    cname: str
    transport: ClientTransport
    producer_id: str | None
    """None: a slot."""
    slot: int = 0
    is_paused: bool = False


class ClientTransport:
    """Lives from the request for it until the client, the network or the room ends it."""

    def __init__(
        self,
        engine: Engine,
        ice: IceSession,
        certificate: Certificate,
        pacer: Pacer,
        send: Callable[[bytes, Address], None],
        caller: Caller,
        on_ended: Ended,
    ) -> None:
        self.id = secrets.token_hex(16)
        self.user_id, self.room_id = caller.user.user_id, caller.room_id
        self.connection_id, self.on_ended = caller.connection_id, on_ended
        self.engine, self.ice, self.certificate = engine, ice, certificate
        self.handle = engine.add_transport()
        self._send = send
        self.link = Link(self._to_peer, pacer)
        self.dtls = Dtls(self.link, certificate, self._keyed)
        self.suite: Suite | None = None
        self.producers: dict[str, MediaProducer] = {}
        self.consumers: dict[str, MediaConsumer] = {}
        self.closed = False
        self.abandoned_at: float | None = None
        """When the connection that owned it went away."""
        self._mids = 0
        self._task: asyncio.Task[None] | None = None

    # --- ICE -----------------------------------------------------------------------------------------------
    def apply(self, change: Change) -> None:
        for address in change.removed:
            self.engine.remove_address(self.handle, address)
        if change.added is not None:
            self.engine.add_address(self.handle, change.added)
        if change.selected is not None:
            self.engine.select_address(self.handle, change.selected)
            self.link.reachable.set()

    def _to_peer(self, data: bytes) -> None:
        if self.ice.selected is not None:
            self._send(data, self.ice.selected)

    # --- DTLS ----------------------------------------------------------------------------------------------
    @property
    def is_started(self) -> bool:
        return self._task is not None

    def connect(self, role: str, fingerprints: list[tuple[str, str]]) -> None:
        """Begin the handshake; raises BadFingerprint. To be called once."""
        parameters = parse_parameters(role, fingerprints)
        self._task = asyncio.create_task(self._handshake(parameters))

    async def _handshake(self, parameters: Any) -> None:
        try:
            connected = await self.dtls.run(parameters)
        except ConnectionError:
            connected = False
        if connected:
            self.dtls.on("statechange", self._dtls_changed)
            self._dtls_changed()
        elif not self.closed:
            self.on_ended(self, "handshake failed")

    def _dtls_changed(self) -> None:
        if self.dtls.state in ("closed", "failed") and not self.closed:
            self.on_ended(self, "closed by the client")

    def _keyed(self, suite: Suite, receive_key: bytes, send_key: bytes) -> None:
        self.suite = suite
        self.engine.set_keys(self.handle, suite, receive_key, send_key)

    # --- life ----------------------------------------------------------------------------------------------
    def next_mid(self) -> str:
        """Never used again: clients keep the sections of closed consumers."""
        mid = str(self._mids)
        self._mids += 1
        return mid

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        await self.dtls.close()
        if self._task is not None:
            self._task.cancel()
        self.engine.remove_transport(self.handle)


Ended = Callable[[ClientTransport, str], None]
"""Told with the reason, once the client, or the way to it, is gone."""
