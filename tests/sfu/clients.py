"""Clients for tests: aiortc peers by offer and answer, with their own media."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any

import av
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

DEADLINE_SECONDS = 30.0


class Tone(MediaStreamTrack):
    """A loud square wave, paced in real time."""

    kind = "audio"

    def __init__(self, amplitude: int = 8000) -> None:
        super().__init__()
        self.amplitude = amplitude
        self._timestamp = 0
        self._started = time.monotonic()

    async def recv(self) -> av.AudioFrame:
        self._timestamp += 960
        await asyncio.sleep(max(0.0, self._started + self._timestamp / 48_000 - time.monotonic()))
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        sample = self.amplitude.to_bytes(2, "little", signed=True)
        low = (-self.amplitude).to_bytes(2, "little", signed=True)
        frame.planes[0].update((sample * 48 + low * 48) * 10)
        frame.pts, frame.sample_rate, frame.time_base = self._timestamp, 48_000, Fraction(1, 48_000)
        return frame


class AiortcPeer:
    """A stock aiortc client with one mic and some slots."""

    def __init__(self, slots: int = 2, mic: bool = True) -> None:
        self.connection = RTCPeerConnection()
        self.tone = Tone() if mic else None
        if self.tone:
            self.connection.addTransceiver(self.tone, direction="sendonly")
        for _ in range(slots):
            self.connection.addTransceiver("audio", direction="recvonly")
        self.loud_frames: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.connection.on("track", self._on_track)

    def _on_track(self, track: Any) -> None:
        number = len(self.loud_frames)
        self.loud_frames.append(0)
        self._tasks.append(asyncio.ensure_future(self._listen(track, number)))

    async def _listen(self, track: Any, number: int) -> None:
        try:
            while True:
                frame = await track.recv()
                samples = memoryview(bytes(frame.planes[0])).cast("h")
                self.loud_frames[number] += max(samples) > 2000
        except Exception:
            return

    async def join(self, exchange: Callable[[str], Awaitable[str]]) -> None:
        """Offer, and take the answer."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await exchange(self.connection.localDescription.sdp)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, (
                f"{what}: {self.loud_frames} {self.connection.connectionState}"
            )
            await asyncio.sleep(0.02)

    async def hears(self, frames: int = 10) -> None:
        before = sum(self.loud_frames)
        await self.until(lambda: sum(self.loud_frames) >= before + frames, "silence")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.connection.close()
