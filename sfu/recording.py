"""Voices as plain RTP to a port of this machine, for recording tools.

A forward follows a user, not a producer: when the user's voice goes and comes back the stream goes on, with
continuous numbers. Only loopback addresses are sent to, because nothing protects these packets.
"""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass

from sfu.connections import MediaProducer
from sfu.engine import ConsumerSpec, Engine, Handle, Suite, new_ssrc
from sfu.ortc import LEVEL_ID, OPUS_PAYLOAD_TYPE
from sfu.stage import Stage

FORWARDS = 256
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::ffff:127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Forward:
    """One user's voice to one port."""

    id: str
    room_id: str
    user_id: str
    port: int
    ssrc: int
    transport: Handle
    consumer: Handle


class Forwards:
    """All of a worker."""

    def __init__(self, engine: Engine, family: int) -> None:
        self._engine, self._host = engine, LOOPBACK[socket.AddressFamily(family)]
        self._all: dict[str, Forward] = {}

    def rooms(self) -> set[str]:
        return {forward.room_id for forward in self._all.values()}

    def start(self, stage: Stage, user_id: str, port: int) -> Forward | None:
        """None when there are too many. The same user and port again are the same forward."""
        for forward in self._all.values():
            if (forward.room_id, forward.user_id, forward.port) == (stage.room_id, user_id, port):
                return forward
        if len(self._all) >= FORWARDS:
            return None
        transport = self._engine.add_transport()
        self._engine.set_keys(transport, Suite.PLAIN, b"", b"")
        self._engine.select_address(transport, (self._host, port))
        spec = ConsumerSpec(
            ssrc=new_ssrc(),
            payload_type=OPUS_PAYLOAD_TYPE,
            cname=user_id.encode(),
            level_id=LEVEL_ID,
        )
        voice = next((p.handle for p in stage.producers.values() if p.user_id == user_id), None)
        consumer = self._engine.add_consumer(transport, voice, spec)
        ident = secrets.token_hex(8)
        forward = Forward(ident, stage.room_id, user_id, port, spec.ssrc, transport, consumer)
        self._all[ident] = forward
        return forward

    def stop(self, room_id: str, ident: str) -> bool:
        forward = self._all.get(ident)
        if forward is None or forward.room_id != room_id:
            return False
        del self._all[ident]
        self._engine.remove_transport(forward.transport)
        return True

    def stop_room(self, room_id: str) -> None:
        for forward in list(self._all.values()):
            if forward.room_id == room_id:
                self.stop(room_id, forward.id)

    def voice_came(self, room_id: str, producer: MediaProducer) -> None:
        for forward in self._all.values():
            if (forward.room_id, forward.user_id) == (room_id, producer.user_id):
                self._engine.follow(forward.consumer, producer.handle)
