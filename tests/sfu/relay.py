"""A bad network between one client and its worker: on the way in packets are lost, late and out of order."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from sfu import rtp

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to datagrams on their way to the worker."""

    loss: float = 0.10
    jitter_seconds: float = 0.030
    reordered: float = 0.05
    """So many come two to four frames later than they would have."""


class Relay(asyncio.DatagramProtocol):
    """The address a client believes to be the worker's. The way back is a good one."""

    def __init__(self, worker: Address, weather: Weather, chance: random.Random) -> None:
        self._worker, self._weather, self._chance = worker, weather, chance
        self._client: Address | None = None
        self.address: Address = ("", 0)
        self.passed: list[int] = []
        """Sequence numbers of the media that went on to the worker, in that order."""
        self.lost = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        near, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        far, _ = await loop.create_datagram_endpoint(lambda: Upstream(self), remote_addr=self._worker)
        self._near, self._far = near, far
        self.address = near.get_extra_info("sockname")

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._client = address
        weather, number = self._weather, self._chance.random
        if number() < weather.loss:
            self.lost += 1
            return
        delay = number() * weather.jitter_seconds
        if number() < weather.reordered:
            delay += 0.04 + 0.04 * number()
        asyncio.get_running_loop().call_later(delay, self._pass, data)

    def _pass(self, data: bytes) -> None:
        if self._far.is_closing():
            return
        if 128 <= data[0] < 192 and not rtp.is_rtcp(data):
            self.passed.append(int.from_bytes(data[2:4], "big"))
        self._far.sendto(data)

    def back(self, data: bytes) -> None:
        if self._client is not None:
            self._near.sendto(data, self._client)

    def close(self) -> None:
        self._near.close()
        self._far.close()


class Upstream(asyncio.DatagramProtocol):
    """The worker's side of a relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagram_received(self, data: bytes, _address: Any) -> None:
        self._relay.back(data)
