"""Clients that remember everything: what they said in clear and in cipher, and every packet they heard."""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

from loadtests.clients.audio import HEAD, MARK, PAYLOAD_TYPE, AudioUser
from sfu import rtcp, rtp
from state.media_commands import RtcOffer
from state.ports import Caller, Done
from tests.sfu.node import MediaNode
from tests.sfu.relay import Relay, Weather

OPUS_LINE = f"a=rtpmap:{PAYLOAD_TYPE} opus/48000/2\r\n"


class Memory:
    """What a listener heard, packet by packet."""

    def __init__(self) -> None:
        self.packets: list[rtp.Packet] = []
        self.moments: list[float] = []
        """When each of them came."""
        self.damaged = 0

    def take(self, data: bytes, now_ns: int) -> None:
        packet = rtp.parse(data)
        assert packet is not None
        self.packets.append(packet)
        self.moments.append(now_ns / 1e9)

    def heard(self, what: str, _amount: float) -> None:
        self.damaged += what == "damaged"

    def of(self, ssrc: int) -> list[rtp.Packet]:
        """What one speaker said."""
        return [packet for packet in self.packets if speaker_of(packet) == ssrc]


def speaker_of(packet: rtp.Packet) -> int | None:
    return HEAD.unpack_from(packet.payload)[1] if packet.payload.startswith(MARK) else None


def number_of(packet: rtp.Packet) -> int:
    return int(HEAD.unpack_from(packet.payload)[2])


class Voice(AudioUser):
    """A whole client: offer and answer, ICE, DTLS and SRTP, perhaps behind a bad network."""

    def __init__(self, name: str, takes_nack: bool = False) -> None:
        self.memory = Memory()
        super().__init__(self.memory.heard, random.Random(name))
        self.ear = self.memory  # type: ignore[assignment]
        self.user, self.takes_nack = name, takes_nack
        self.caller: Caller | None = None
        self.relay: Relay | None = None
        self.said: dict[int, bytes] = {}
        """Payloads by RTP number."""
        self.ciphers: dict[int, bytes] = {}

    async def join(self, node: MediaNode, slots: int, mic: bool, weather: Weather | None = None) -> None:
        self.caller = node.caller(self.user)

        async def call(_name: str, fields: Any) -> Any:
            assert self.caller is not None
            extra = f"a=rtcp-fb:{PAYLOAD_TYPE} nack\r\n" if self.takes_nack else ""
            offered = fields["sdp"].replace(OPUS_LINE, OPUS_LINE + extra)
            answer = await node.ask(self.caller, RtcOffer(offered))
            assert isinstance(answer, Done), answer
            return {"ok": True, "data": {"sdp": await self._detour(answer.data["sdp"], weather)}}

        await self.open(call, slots=slots, mic=mic)

    async def _detour(self, sdp: str, weather: Weather | None) -> str:
        """The answer, with the relay in the worker's place."""
        found = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) ", sdp)
        assert found is not None
        if weather is None:
            return sdp
        self.relay = Relay((found[1], int(found[2])), weather, random.Random(f"{self.user} outside"))
        await self.relay.open()
        return sdp.replace(f" {found[2]} typ host", f" {self.relay.address[1]} typ host")

    def encrypt(self, clear: bytes) -> bytes:
        packet = rtp.parse(clear)
        assert packet is not None
        cipher: bytes = self.outbound.protect(clear)
        self.said[packet.sequence], self.ciphers[packet.sequence] = packet.payload, cipher
        return cipher

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.sendto(data)

    def speak(self) -> None:
        self.sent += 1
        self.send(self.encrypt(self.clear(self.sent)))

    def clear(self, number: int, ssrc: int | None = None) -> bytes:
        """A packet that names this speaker, under its own SSRC or another."""
        payload = HEAD.pack(MARK, self.ssrc, number, 0) + random.Random(number).randbytes(136)
        level = {1: bytes([0x80 | self.level])}
        return rtp.build(
            rtp.Packet(False, PAYLOAD_TYPE, number & 0xFFFF, number * 960, ssrc or self.ssrc, level, payload)
        )

    async def speak_for(self, seconds: float) -> None:
        """In real time."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(round(seconds * 50)):
            self.speak()
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _media(self, data: bytes) -> None:
        if self.inbound is not None and rtp.is_rtcp(data):
            self._again(self.inbound.unprotect_rtcp(data))
        else:
            super()._media(data)

    def _again(self, compound: bytes) -> None:
        """What a browser does with a NACK: the very same bytes."""
        for report in rtcp.parse(compound):
            if isinstance(report, rtcp.Nack) and self.takes_nack:
                for sequence in report.sequences:
                    self.send(self.ciphers[sequence])

    def close(self) -> None:
        super().close()
        if self.relay is not None:
            self.relay.close()
