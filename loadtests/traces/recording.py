"""`flylive record`: listens to a node's tap and writes a trace.

The rooms are looked at when the recording meets them and when it ends, so that a replay can build the same
start and compare the same end. Signalling of audio and the lossy lane are left out: they cannot be replayed.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from loadtests.clients.rest import CallFailed, Rest
from loadtests.traces.format import (
    Ack,
    Command,
    Connect,
    Disconnect,
    Event,
    Fields,
    Header,
    Line,
    Met,
    RoomStart,
    TraceWriter,
)
from loadtests.traces.pseudonyms import Pseudonyms

LEFT_OUT = ("rtc:", "audio:levels", "room:stats")
# Snapshots at the end are taken when the tap has been silent this long.
QUIET_SECONDS = 0.5
# On a node that never falls silent they are taken this long after the stop, and compared nowhere.
BUSY_SECONDS = 3.0


class TooSlow(Exception):
    """The node cut the recording off because it did not keep up."""


class Recording:
    """One recording: turns lines of the tap into lines of the trace."""

    def __init__(self, rest: Rest, path: Path, pseudonyms: Pseudonyms, room_ids: list[str]):
        self.rest, self.pseudonyms, self.asked_for = rest, pseudonyms, room_ids
        self.writer = TraceWriter(path)
        self.rooms: dict[str, RoomStart] = {}
        self.left_out: set[tuple[str, int]] = set()
        self.t0 = 0

    async def run(self, until: asyncio.Event) -> int:
        """Record until told to stop. -> number of lines"""
        url = f"{self.rest.url}/v1/tap"
        query = [("room", room_id) for room_id in self.asked_for]
        headers = {"Authorization": f"Bearer {self.rest.service_key}"}
        async with self.rest.session.ws_connect(url, params=query, headers=headers, max_msg_size=0) as socket:
            await self._begin()
            await self._listen(socket, until)
        ends = {
            self.pseudonyms.alias("r", room_id): self.pseudonyms.walk(snapshot)
            for room_id in self.rooms
            if (snapshot := await self._snapshot(room_id)) is not None
        }
        # The catalog as it was last: what was sent is in it.
        gifts = (await self.rest.required("GET", "/v1/gifts")).get("gifts", [])
        self.writer.finish(self._seconds(int(time.time() * 1000)), ends, gifts)
        return self.writer.count

    async def _begin(self) -> None:
        room_ids = self.asked_for or [room["room_id"] for room in await self._live_rooms()]
        self.t0 = int(time.time() * 1000)
        for room_id in room_ids:
            await self._meet(room_id)
        redactions = [] if self.pseudonyms.raw else ["ids", "texts", "secrets"]
        starts = {self.pseudonyms.alias("r", room_id): start for room_id, start in self.rooms.items()}
        self.writer.write(Header(self.t0, starts, redactions))

    async def _live_rooms(self) -> list[Fields]:
        rooms: list[Fields] = []
        cursor: str | None = None
        while True:
            query = f"?limit=100&cursor={cursor}" if cursor else "?limit=100"
            page = await self.rest.required("GET", f"/v1/rooms{query}")
            rooms += page["rooms"]
            cursor = page.get("next_cursor")
            if not cursor:
                return rooms

    async def _snapshot(self, room_id: str) -> Fields | None:
        try:
            return await self.rest.snapshot(room_id)
        except CallFailed:
            # The room was closed meanwhile: it has no end state to compare.
            return None

    async def _meet(self, room_id: str) -> RoomStart | None:
        snapshot = await self._snapshot(room_id)
        if snapshot is None:
            return None
        told = self.pseudonyms.walk(snapshot)
        start = RoomStart(told["owner_id"], told["settings"], told)
        self.rooms[room_id] = start
        return start

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse, until: asyncio.Event) -> None:
        stopping = asyncio.create_task(until.wait())
        latest: float | None = None
        try:
            while latest is None or time.monotonic() < latest:
                receiving = asyncio.create_task(socket.receive())
                timeout = QUIET_SECONDS if stopping.done() else None
                waiting = {receiving} if stopping.done() else {receiving, stopping}
                await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done() and latest is None:
                    latest = time.monotonic() + BUSY_SECONDS
                if not receiving.done():
                    receiving.cancel()
                    if timeout is not None:
                        return
                    continue
                message = receiving.result()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    return
                for raw in message.data.split(b"\n"):
                    await self._line(msgspec.json.decode(raw))
        finally:
            stopping.cancel()

    def _seconds(self, at: int) -> float:
        return round(max(0, at - self.t0) / 1000, 3)

    async def _line(self, line: Fields) -> None:
        if line["k"] == "overflow":
            raise TooSlow("the node cut the recording off: this machine does not keep up with it")
        room_id = line.get("r")
        if room_id is not None and room_id not in self.rooms:
            start = await self._meet(room_id)
            if start is not None:
                self.writer.write(Met(self._seconds(line["at"]), self.pseudonyms.alias("r", room_id), start))
        translated = self._translated(line)
        if translated is not None:
            self.writer.write(translated)

    def _translated(self, line: Fields) -> Line | None:
        names, t, kind = self.pseudonyms, self._seconds(line["at"]), line["k"]
        client = names.alias("c", line["c"]) if "c" in line else None
        room = names.alias("r", line["r"]) if "r" in line else None
        if kind == "event":
            left_out = line["e"].startswith(LEFT_OUT)
            return None if left_out else Event(t, line["e"], names.walk(line["b"]), room, client)
        if client is None:
            return None
        if kind == "connect" and room is not None:
            user = names.alias("u", line["u"])
            return Connect(t, client, user, room, line["role"], line.get("standing", False))
        if kind == "disconnect":
            return Disconnect(t, client, line["why"])
        return self._exchange(t, client, line)

    def _exchange(self, t: float, client: str, line: Fields) -> Line | None:
        """A command or an ack; those of what is left out are left out both."""
        place: tuple[str, Any] = (client, line["i"])
        if line["k"] == "command":
            if line["e"].startswith(LEFT_OUT):
                self.left_out.add(place)
                return None
            return Command(t, client, line["i"], line["e"], self.pseudonyms.walk(line["a"]))
        if place in self.left_out:
            self.left_out.discard(place)
            return None
        return Ack(t, client, line["i"], self.pseudonyms.walk(line["b"]))
