"""Answers the `rtc:*` commands inside a worker: everything about clients, nothing about Redis.

A session is a user in a room; it owns transports, whichever of the user's connections asked for them. A
connection that goes away leaves its transports for a while: a phone that changes networks comes back with
another connection and goes on using them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from sfu import ortc, sdp
from sfu.connections import ClientTransport, MediaConsumer, MediaProducer
from sfu.dtls import BadFingerprint
from sfu.engine import ConsumerSpec, ProducerSpec, new_ssrc
from sfu.figures import transport_figures
from sfu.recording import Forwards
from sfu.rtp import LEVEL_URI, MID_URI
from sfu.sessions import OfferPeer, Refused, Rooms, Session, Turn
from sfu.stage import Stage
from sfu.switchboard import Switchboard
from state import media_commands as commands
from state.ports import Answer, Caller, Done
from state.rejections import Code, Rejection

log = structlog.get_logger("sfu.desk")

TRANSPORTS_PER_SESSION = 8
"""Two for mediasoup-client, twice while a client comes back, and some."""
CONSUMERS_PER_TRANSPORT = 64
PRODUCERS_PER_SESSION = 4
TRANSPORTS_SHOWN = 100
"""So many of a room at most are told of at once."""
ABANDONED_SECONDS = 35.0
"""A little longer than a connection can be recovered."""
SEAT_WAIT_SECONDS = 0.5
"""The room's stream may bring a seat a moment after its acknowledgement reached the client."""


class Desk:
    """One per worker."""

    def __init__(self, switchboard: Switchboard, rooms: Rooms) -> None:
        self._switchboard, self._rooms, self._engine = switchboard, rooms, switchboard.engine
        self.sessions: dict[tuple[str, str], Session] = {}
        self.forwards = Forwards(self._engine, switchboard.sock.family)
        self._closing: set[asyncio.Task[None]] = set()
        handlers: dict[type, Callable[[Turn, Any], Awaitable[dict[str, Any]]]] = {
            commands.RtcCapabilities: self._capabilities,
            commands.RtcCreateTransport: self._create_transport,
            commands.RtcConnectTransport: self._connect_transport,
            commands.RtcProduce: self._produce,
            commands.RtcProducers: self._producers,
            commands.RtcConsume: self._consume,
            commands.RtcResumeConsumer: self._resume_consumer,
            commands.RtcPauseConsumer: self._pause_consumer,
            commands.RtcCloseConsumer: self._close_consumer,
            commands.RtcCloseProducer: self._close_producer,
            commands.RtcRestartIce: self._restart_ice,
            commands.RtcStats: self._stats,
            commands.RtcOffer: self._offer,
            commands.RtcForward: self._forward,
            commands.RtcStopForward: self._stop_forward,
        }
        self._handlers = handlers

    async def perform(self, caller: Caller, command: commands.RtcCommand) -> Answer:
        stage = await self._rooms.open(caller.room_id)
        if stage is None:
            return Rejection(Code.ROOM_NOT_FOUND)
        key = (caller.room_id, caller.user.user_id)
        session = self.sessions.setdefault(key, Session(caller.user.user_id, caller.room_id))
        for transport in session.transports.values():
            if transport.connection_id == caller.connection_id:
                transport.abandoned_at = None
        try:
            return Done(await self._handlers[type(command)](Turn(session, stage, caller), command))
        except Refused as refused:
            return refused.rejection
        except msgspec.ValidationError as error:
            return Rejection(Code.PAYLOAD_INVALID, str(error))
        except (ortc.Unsupported, sdp.BadSdp, BadFingerprint) as error:
            return Rejection(Code.RTC_UNSUPPORTED, str(error))
        finally:
            self._forget_if_empty(session)

    def _forget_if_empty(self, session: Session) -> None:
        if not session.transports:
            self.sessions.pop((session.room_id, session.user_id), None)

    # --- lookups -----------------------------------------------------------------------------------------
    def _transport(self, session: Session, ident: str, caller: Caller) -> ClientTransport:
        transport = session.transports.get(ident)
        if transport is None:
            raise Refused(Code.RTC_NOT_FOUND, "no such transport")
        transport.connection_id, transport.abandoned_at = caller.connection_id, None
        return transport

    @staticmethod
    def _consumer(session: Session, ident: str) -> MediaConsumer:
        for transport in session.transports.values():
            if ident in transport.consumers:
                return transport.consumers[ident]
        raise Refused(Code.RTC_NOT_FOUND, "no such consumer")

    # --- transports --------------------------------------------------------------------------------------
    async def _capabilities(self, _turn: Turn, _command: Any) -> dict[str, Any]:
        return {"router_rtp_capabilities": ortc.CAPABILITIES}

    def _open(self, session: Session, caller: Caller) -> ClientTransport:
        if len(session.transports) >= TRANSPORTS_PER_SESSION:
            oldest = next(
                (
                    t
                    for t in session.transports.values()
                    if t.abandoned_at is not None or t.ice.selected is None
                ),
                None,
            )
            if oldest is None:
                raise Refused(Code.RATE_LIMITED, "too many transports")
            self.end(oldest, "replaced")
        transport = self._switchboard.open_transport(caller, self.end)
        session.transports[transport.id] = transport
        return transport

    async def _create_transport(self, turn: Turn, _command: commands.RtcCreateTransport) -> dict[str, Any]:
        transport = self._open(turn.session, turn.caller)
        value = self._switchboard.certificate.fingerprint
        return {
            "id": transport.id,
            "iceParameters": transport.ice.parameters(),
            "iceCandidates": self._switchboard.candidates(),
            "dtlsParameters": {"role": "auto", "fingerprints": [{"algorithm": "sha-256", "value": value}]},
        }

    async def _connect_transport(self, turn: Turn, command: commands.RtcConnectTransport) -> dict[str, Any]:
        transport = self._transport(turn.session, command.transport_id, turn.caller)
        parameters = msgspec.convert(command.dtls_parameters, ortc.DtlsParameters)
        if transport.is_started:
            raise Refused(Code.CONFLICT, "the transport is connected already")
        transport.connect(parameters.role, [(f.algorithm, f.value) for f in parameters.fingerprints])
        return {}

    async def _restart_ice(self, turn: Turn, command: commands.RtcRestartIce) -> dict[str, Any]:
        transport = self._transport(turn.session, command.transport_id, turn.caller)
        self._switchboard.responder.restart(transport.ice)
        return {"iceParameters": transport.ice.parameters()}

    # --- producers ---------------------------------------------------------------------------------------
    async def _produce(self, turn: Turn, command: commands.RtcProduce) -> dict[str, Any]:
        transport = self._transport(turn.session, command.transport_id, turn.caller)
        parameters = msgspec.convert(command.rtp_parameters, ortc.RtpParameters)
        ortc.opus_of(parameters)
        if not await self._seated(turn.session):
            raise Refused(Code.NOT_SEATED)
        return {"id": self._add_producer(turn.session, turn.stage, transport, parameters).id}

    async def _seated(self, session: Session) -> bool:
        deadline = time.monotonic() + SEAT_WAIT_SECONDS
        while not self._rooms.is_seated(session.room_id, session.user_id):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    def _add_producer(
        self,
        session: Session,
        stage: Stage,
        transport: ClientTransport,
        parameters: ortc.RtpParameters,
        red_payload_type: int = 0,
    ) -> MediaProducer:
        if sum(len(t.producers) for t in session.transports.values()) >= PRODUCERS_PER_SESSION:
            raise Refused(Code.RATE_LIMITED, "too many producers")
        spec = ProducerSpec(
            payload_type=ortc.opus_of(parameters).payload_type,
            ssrc=parameters.encodings[0].ssrc if parameters.encodings else None,
            mid=(parameters.mid or "").encode(),
            mid_id=ortc.extension_id(parameters, MID_URI),
            level_id=ortc.extension_id(parameters, LEVEL_URI),
            red_payload_type=red_payload_type,
            nack=ortc.takes_nack(parameters),
        )
        try:
            handle = self._engine.add_producer(transport.handle, spec)
        except ValueError as error:
            raise Refused(Code.CONFLICT, str(error)) from error
        producer = MediaProducer(secrets.token_hex(16), handle, session.user_id, parameters, transport)
        transport.producers[producer.id] = producer
        stage.add_producer(producer)
        self.forwards.voice_came(session.room_id, producer)
        self._rooms.told_producer(producer, session.room_id, added=True)
        return producer

    async def _producers(self, turn: Turn, _command: Any) -> dict[str, Any]:
        others = (p for p in turn.stage.producers.values() if p.user_id != turn.session.user_id)
        return {"producers": [{"producer_id": p.id, "user_id": p.user_id} for p in others]}

    async def _close_producer(self, turn: Turn, command: commands.RtcCloseProducer) -> dict[str, Any]:
        producer = turn.stage.producers.get(command.producer_id)
        if producer is None or producer.user_id != turn.session.user_id:
            raise Refused(Code.RTC_NOT_FOUND, "no such producer")
        self._remove_producer(turn.stage, producer)
        return {}

    def _remove_producer(self, stage: Stage, producer: MediaProducer) -> None:
        producer.transport.producers.pop(producer.id, None)
        stage.remove_producer(producer)
        self._rooms.told_producer(producer, stage.room_id, added=False)

    # --- consumers ---------------------------------------------------------------------------------------
    async def _consume(self, turn: Turn, command: commands.RtcConsume) -> dict[str, Any]:
        transport = self._transport(turn.session, command.transport_id, turn.caller)
        remote = msgspec.convert(command.rtp_capabilities, ortc.RtpCapabilities)
        producer = None
        if (command.slot is None) == (command.producer_id is None):
            raise Refused(Code.PAYLOAD_INVALID, "either producer_id or slot")
        if command.producer_id is not None:
            producer = turn.stage.producers.get(command.producer_id)
            if producer is None:
                raise Refused(Code.RTC_NOT_FOUND, "no such producer")
            if producer.user_id == turn.session.user_id:
                raise Refused(Code.CANNOT_TARGET_SELF)
        source = self._source(producer, command.slot)
        nack = ortc.wants_nack(remote)
        parameters = ortc.consumer_parameters(source, remote, transport.next_mid(), new_ssrc(), nack)
        extensions = {e["uri"]: e["id"] for e in parameters["headerExtensions"]}
        spec = ConsumerSpec(
            ssrc=parameters["encodings"][0]["ssrc"],
            payload_type=parameters["codecs"][0]["payloadType"],
            cname=str(parameters["rtcp"]["cname"]).encode()[:255],
            level_id=extensions.get(LEVEL_URI, 0),
            nack=nack,
            paused=producer is not None,
        )
        consumer = self._add_consumer(turn.stage, transport, producer, spec, command.slot)
        return {
            "id": consumer.id,
            "producerId": producer.id if producer else f"slot{command.slot}",
            "kind": "audio",
            "rtpParameters": parameters,
            "type": "simple",
            "paused": consumer.is_paused,
            "producerPaused": bool(producer and not producer.is_allowed),
        }

    @staticmethod
    def _source(producer: MediaProducer | None, slot: int | None) -> dict[str, Any]:
        if producer is None:
            opus = ortc.Codec("audio/opus", ortc.OPUS_PAYLOAD_TYPE, 48000, 2, {"useinbandfec": 1})
            parameters = ortc.RtpParameters([opus], rtcp=ortc.Rtcp(f"slot{slot}"), msid=f"slot{slot}")
            return ortc.consumable(parameters)
        source = ortc.consumable(producer.parameters)
        # Without a cname the client writes no SSRC into its SDP.
        cname = source["rtcp"]["cname"] or producer.transport.id
        return {**source, "rtcp": {"cname": cname, "reducedSize": True}, "msid": source["msid"] or cname}

    def _add_consumer(
        self,
        stage: Stage,
        transport: ClientTransport,
        producer: MediaProducer | None,
        spec: ConsumerSpec,
        slot: int | None,
    ) -> MediaConsumer:
        if len(transport.consumers) >= CONSUMERS_PER_TRANSPORT:
            raise Refused(Code.RATE_LIMITED, "too many consumers")
        handle = self._engine.add_consumer(transport.handle, producer.handle if producer else None, spec)
        consumer = MediaConsumer(
            secrets.token_hex(16),
            handle,
            spec.ssrc,
            spec.cname.decode("utf-8", "replace"),
            transport,
            producer.id if producer else None,
            slot or 0,
            spec.paused,
        )
        transport.consumers[consumer.id] = consumer
        if producer is None:
            stage.add_slot(consumer)
        return consumer

    def _pause(self, session: Session, ident: str, paused: bool) -> dict[str, Any]:
        consumer = self._consumer(session, ident)
        consumer.is_paused = paused
        self._engine.set_paused(consumer.handle, paused)
        return {}

    async def _resume_consumer(self, turn: Turn, command: commands.RtcResumeConsumer) -> dict[str, Any]:
        return self._pause(turn.session, command.consumer_id, False)

    async def _pause_consumer(self, turn: Turn, command: commands.RtcPauseConsumer) -> dict[str, Any]:
        return self._pause(turn.session, command.consumer_id, True)

    async def _close_consumer(self, turn: Turn, command: commands.RtcCloseConsumer) -> dict[str, Any]:
        self._remove_consumer(turn.stage, self._consumer(turn.session, command.consumer_id))
        return {}

    def _remove_consumer(self, stage: Stage, consumer: MediaConsumer) -> None:
        consumer.transport.consumers.pop(consumer.id, None)
        if consumer.producer_id is None:
            stage.remove_slot(consumer)
        self._engine.remove_consumer(consumer.handle)

    # --- one offer, one answer --------------------------------------------------------------------------
    async def _offer(self, turn: Turn, command: commands.RtcOffer) -> dict[str, Any]:
        """The first offer makes the transport; a later one adds sections, or restarts ICE with a new
        ufrag."""
        offer = sdp.parse(command.sdp)
        uses = [sdp.use_of(section) for section in offer.sections]
        if not any(uses):
            raise ortc.Unsupported("no audio section with opus/48000/2")
        peer = self._peer(turn.session, turn.caller, offer)
        parts = [
            self._part(turn.session, turn.stage, peer, *pair)
            for pair in zip(offer.sections, uses, strict=True)
        ]
        place = sdp.Place(
            peer.transport.ice.ufrag,
            peer.transport.ice.password,
            self._switchboard.certificate.fingerprint,
            self._switchboard.candidates(),
        )
        return {"sdp": sdp.answer(offer, place, parts)}

    def _peer(self, session: Session, caller: Caller, offer: sdp.Offer) -> OfferPeer:
        ufrag = sdp.ice_user(offer)
        peer = session.peers.get(caller.connection_id)
        if peer is not None and not peer.transport.closed:
            if ufrag != peer.ufrag:
                self._switchboard.responder.restart(peer.transport.ice)
                peer.ufrag = ufrag
            return peer
        fingerprints = sdp.fingerprints(offer)
        transport = self._open(session, caller)
        try:
            transport.connect(sdp.dtls_role(offer), fingerprints)
        except BadFingerprint:
            self.end(transport, "no fingerprint")
            raise
        peer = session.peers[caller.connection_id] = OfferPeer(transport, ufrag)
        return peer

    def _part(
        self, session: Session, stage: Stage, peer: OfferPeer, section: sdp.Section, use: str
    ) -> sdp.Part:
        mid = section.first("mid")
        if use == sdp.MIC:
            if mid not in peer.mics:
                parameters = sdp.producer_parameters(section)
                red = (sdp.red(section) or 0) if sdp.prefers_red(section) else 0
                peer.mics[mid] = self._add_producer(session, stage, peer.transport, parameters, red)
        elif mid in peer.mics:
            self._remove_producer(stage, peer.mics.pop(mid))
        if use != sdp.SLOT:
            return sdp.Part(use)
        if mid not in peer.slots:
            number = len(peer.slots)
            extensions = sdp.extensions(section)
            spec = ConsumerSpec(
                ssrc=new_ssrc(),
                payload_type=sdp.opus(section) or ortc.OPUS_PAYLOAD_TYPE,
                cname=f"slot{number}".encode(),
                level_id=extensions.get(LEVEL_URI, 0),
                mid_id=extensions.get(MID_URI, 0) if mid else 0,
                mid=mid.encode(),
                red_payload_type=(sdp.red(section) or 0) if sdp.prefers_red(section) else 0,
                nack=sdp.wants_nack(section),
            )
            peer.slots[mid] = self._add_consumer(stage, peer.transport, None, spec, number)
        consumer = peer.slots[mid]
        return sdp.Part(use, consumer.ssrc, consumer.cname)

    # --- figures, and ends ------------------------------------------------------------------------------
    async def _stats(self, turn: Turn, _command: Any) -> dict[str, Any]:
        """One's own transports; to an operator those of the room, speakers first."""
        sessions = self._sessions_of(turn.session.room_id) if turn.caller.user.system else [turn.session]
        found = [transport for session in sessions for transport in session.transports.values()]
        found.sort(key=lambda transport: not transport.producers)
        shown = [transport_figures(self._engine, transport) for transport in found[:TRANSPORTS_SHOWN]]
        return {"transports": shown, "total": len(found)}

    def _sessions_of(self, room_id: str) -> list[Session]:
        return [session for (room, _), session in self.sessions.items() if room == room_id]

    async def _forward(self, turn: Turn, command: commands.RtcForward) -> dict[str, Any]:
        if not turn.caller.user.system:
            raise Refused(Code.FORBIDDEN)
        forward = self.forwards.start(turn.stage, command.user_id, command.port)
        if forward is None:
            raise Refused(Code.RATE_LIMITED, "too many forwards")
        return {"forward_id": forward.id, "ssrc": forward.ssrc, "payload_type": ortc.OPUS_PAYLOAD_TYPE}

    async def _stop_forward(self, turn: Turn, command: commands.RtcStopForward) -> dict[str, Any]:
        if not turn.caller.user.system:
            raise Refused(Code.FORBIDDEN)
        if not self.forwards.stop(turn.session.room_id, command.forward_id):
            raise Refused(Code.RTC_NOT_FOUND, "no such forward")
        return {}

    def rooms_in_use(self) -> set[str]:
        return {room_id for room_id, _ in self.sessions} | self.forwards.rooms()

    def connection_closed(self, caller: Caller, now: bool = False) -> None:
        """Its transports wait for a while for the user's next connection, unless they end now."""
        session = self.sessions.get((caller.room_id, caller.user.user_id))
        for transport in list(session.transports.values()) if session else ():
            if transport.connection_id != caller.connection_id:
                continue
            if now:
                self.end(transport, "hung up")
            else:
                transport.abandoned_at = time.monotonic()

    def expire(self, now: float) -> None:
        for session in list(self.sessions.values()):
            for transport in list(session.transports.values()):
                if transport.abandoned_at is not None and now - transport.abandoned_at > ABANDONED_SECONDS:
                    self.end(transport, "abandoned")

    def end_user(self, room_id: str, user_id: str, reason: str) -> None:
        session = self.sessions.get((room_id, user_id))
        for transport in list(session.transports.values()) if session else ():
            self.end(transport, reason)

    def end_room(self, room_id: str, reason: str) -> None:
        self.forwards.stop_room(room_id)
        for session in self._sessions_of(room_id):
            self.end_user(room_id, session.user_id, reason)

    def end(self, transport: ClientTransport, reason: str) -> None:
        """Close a transport and all it carried."""
        session = self.sessions.get((transport.room_id, transport.user_id))
        if session is None or session.transports.pop(transport.id, None) is None:
            return
        log.info("transport ended", transport=transport.id, user_id=transport.user_id, reason=reason)
        for connection, peer in list(session.peers.items()):
            if peer.transport is transport:
                del session.peers[connection]
        stage = self._rooms.stage(transport.room_id)
        if stage is not None:
            for consumer in list(transport.consumers.values()):
                self._remove_consumer(stage, consumer)
            for producer in list(transport.producers.values()):
                self._remove_producer(stage, producer)
        self._forget_if_empty(session)
        task = asyncio.get_running_loop().create_task(self._switchboard.remove(transport))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
