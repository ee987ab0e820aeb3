"""Audio on real nodes: through Socket.IO and HTTP, with workers as children, killed and orphaned."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio

from tests.processes import NodeProcess, environment, flylive
from tests.sfu.clients import AiortcPeer
from tests.sfu.node import until

KEY = "service-key-of-this-test-0123456789"


class User:
    """One user's socket and audio."""

    def __init__(self, name: str, token: str) -> None:
        self.name, self.token = name, token
        self.socket = socketio.AsyncClient(reconnection=False)
        self.events: list[tuple[str, Any]] = []
        self.socket.on("*", lambda name, *body: self.events.append((name, body[0] if body else None)))
        self.peer: AiortcPeer | None = None

    async def call(self, name: str, **body: Any) -> dict[str, Any]:
        answer = await self.socket.call(name, body, timeout=10)
        assert answer["ok"], (name, answer)
        return dict(answer["data"])

    async def connect(self, url: str) -> None:
        await self.socket.connect(url, auth={"token": self.token}, transports=["websocket"])
        await self.call("room:join")

    async def talk(self, **options: Any) -> AiortcPeer:
        self.peer = AiortcPeer(**options)

        async def exchange(sdp: str) -> str:
            return str((await self.call("rtc:offer", sdp=sdp))["sdp"])

        await self.peer.join(exchange)
        return self.peer

    async def close(self) -> None:
        if self.peer is not None:
            await self.peer.close()
        await self.socket.disconnect()


class Town:
    """A node with one room, and its users."""

    def __init__(self, data: Path, **values: str) -> None:
        self.data = data
        environment = {"FLYLIVE_SERVICE_KEY": KEY, "FLYLIVE_SFU_WORKERS": "1", **values}
        self.node = NodeProcess(data, **environment)
        self.http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"})
        self.users: list[User] = []

    async def open(self) -> None:
        await asyncio.to_thread(self.node.wait_ready)
        body = {"room_id": "room", "name": "Room", "owner_id": "owner"}
        async with self.http.post(f"{self.node.url}/v1/rooms", json=body) as answer:
            assert answer.status == 201, await answer.text()

    async def token(self, name: str) -> str:
        url = f"{self.node.url}/v1/rooms/room/tokens"
        async with self.http.post(url, json={"user_id": name, "role": "member"}) as answer:
            assert answer.status == 201, await answer.text()
            return str((await answer.json())["data"]["token"])

    async def user(self, name: str, seated: bool = True) -> User:
        user = User(name, await self.token(name))
        self.users.append(user)
        await user.connect(self.node.url)
        if seated:
            await user.call("seat:take", index=-1)
        return user

    def workers(self) -> list[int]:
        """Process ids of the node's media workers: children that carry audio, and the spare."""
        children = Path(f"/proc/{self.node.process.pid}/task/{self.node.process.pid}/children").read_text()
        pids = map(int, children.split())
        return [pid for pid in pids if b"\0-m\0sfu\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def serving(self) -> int:
        """The worker that carries: the spare is the younger one."""
        return min(self.workers())

    async def close(self) -> None:
        for user in self.users:
            await user.close()
        await self.http.close()
        await asyncio.to_thread(self.node.stop)


@pytest.fixture
async def town(data_directory: Path) -> AsyncIterator[Town]:
    made = Town(data_directory)
    await made.open()
    yield made
    await made.close()


async def test_users_talk_over_socket_io(town: Town) -> None:
    ada, bob = await town.user("ada"), await town.user("bob", seated=False)
    await ada.talk(slots=0)
    peer = await bob.talk(mic=False)
    await peer.hears()
    await until(
        lambda: any(name == "audio:levels" and body["active"] == "ada" for name, body in bob.events), ""
    )
    await until(
        lambda: ["ada", None] in [body["slots"] for name, body in bob.events if name == "rtc:slots"],
        "the slots are told",
    )
    await until(
        lambda: any(name == "rtc:producer_added" and body["user_id"] == "ada" for name, body in bob.events),
        "the producer is announced",
    )
    stats = await bob.call("rtc:stats")
    assert stats["transports"][0]["consumers"][0]["packets"] > 0
    await ada.call("mic:set", muted=True)
    await asyncio.sleep(0.3)
    heard = sum(peer.loud_frames)
    await asyncio.sleep(0.5)
    assert sum(peer.loud_frames) - heard <= 3
    await ada.call("mic:set", muted=False)
    await peer.hears()


async def test_whip_speaks_and_whep_listens(town: Town) -> None:
    ada = await town.user("ada")
    bearer = {"Authorization": f"Bearer {ada.token}", "Content-Type": "application/sdp"}
    locations: list[str] = []

    async def post(kind: str, sdp: str) -> str:
        url = f"{town.node.url}/v1/rooms/room/{kind}"
        async with town.http.post(url, data=sdp, headers=bearer) as answer:
            assert answer.status == 201, await answer.text()
            assert answer.content_type == "application/sdp"
            locations.append(answer.headers["Location"])
            return await answer.text()

    speaker = AiortcPeer(slots=0)
    await speaker.join(lambda sdp: post("whip", sdp))
    bearer["Authorization"] = f"Bearer {await town.token('eve')}"
    listener = AiortcPeer(slots=1, mic=False)
    await listener.join(lambda sdp: post("whep", sdp))
    await listener.hears()
    bearer["Authorization"] = f"Bearer {ada.token}"
    async with town.http.delete(f"{town.node.url}{locations[0]}", headers=bearer) as answer:
        assert answer.status == 200
    await until(lambda: speaker.connection.connectionState == "closed", "WHIP goes on", 10)
    url = f"{town.node.url}/v1/rooms/room/whip"
    for headers, body, status in (
        ({"Content-Type": "application/sdp"}, "v=0", 401),
        ({**bearer, "Authorization": "Bearer x"}, "v=0", 401),
        ({**bearer, "Content-Type": "text/plain"}, "v=0", 415),
        (bearer, "hello", 422),
    ):
        async with aiohttp.ClientSession() as plain, plain.post(url, data=body, headers=headers) as answer:
            assert answer.status == status, await answer.text()
    await speaker.close()
    await listener.close()


async def test_a_killed_worker_is_replaced_and_clients_talk_again(town: Town) -> None:
    ada, bob = await town.user("ada"), await town.user("bob", seated=False)
    await ada.talk(slots=0)
    await (await bob.talk(mic=False)).hears()
    await until(lambda: len(town.workers()) == 2, "no spare", 30)
    os.kill(town.serving(), signal.SIGKILL)

    async def again(user: User, **options: Any) -> AiortcPeer:
        await until(lambda: any(name == "rtc:moved" for name, _ in user.events), "not told", 5)
        while True:
            try:
                return await user.talk(**options)
            except AssertionError:
                await asyncio.sleep(0.1)

    async with asyncio.timeout(5):
        _, peer = await asyncio.gather(again(ada, slots=0), again(bob, mic=False))
        await peer.hears(1)


async def test_audio_goes_on_without_the_node(town: Town) -> None:
    ada, bob = await town.user("ada"), await town.user("bob", seated=False)
    await ada.talk(slots=0)
    peer = await bob.talk(mic=False)
    await peer.hears()
    workers = town.workers()
    town.node.process.kill()
    await asyncio.to_thread(town.node.process.wait)
    await asyncio.sleep(1.0)
    await peer.hears(50)
    assert ada.peer is not None
    await ada.peer.close()
    await peer.close()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "orphans stay", 45)


async def test_a_worker_of_its_own_serves_any_node(data_directory: Path) -> None:
    """`flylive sfu` on another machine; here it is only another process."""
    town = Town(data_directory, FLYLIVE_SFU_WORKERS="0")
    await town.open()
    urls = json.loads((data_directory / "urls.json").read_text())
    values = {"FLYLIVE_REDIS_URL": urls["redis_url"], "FLYLIVE_DATABASE_URL": urls["database_url"]}
    values |= {"FLYLIVE_SFU_PORT": "0", "FLYLIVE_NODE_HOST": "127.0.0.1"}
    alone = await asyncio.create_subprocess_exec(*flylive("sfu"), env=environment(**values))
    try:
        ada, bob = await town.user("ada"), await town.user("bob", seated=False)
        deadline = time.monotonic() + 30
        while not (await ada.socket.call("rtc:capabilities", {}, timeout=10))["ok"]:
            assert time.monotonic() < deadline, "no worker"
            await asyncio.sleep(0.2)
        await ada.talk(slots=0)
        peer = await bob.talk(mic=False)
        await peer.hears()
        alone.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(alone.wait(), 10) == 0
        await until(lambda: any(name == "rtc:moved" for name, _ in bob.events), "not told", 5)
    finally:
        if alone.returncode is None:
            alone.kill()
        await town.close()
