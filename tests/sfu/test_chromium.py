"""Headless Chromium with an unmodified mediasoup-client and with plain peer connections, on a real node."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests import tools
from tests.browser.pages import Browser, Page, opened_browser
from tests.sfu.test_serve import Town

pytestmark = pytest.mark.browser
PAGE = Path(__file__).with_name("page.js")
HEARD_SECONDS = 15.0


@pytest.fixture(scope="module")
def bundle() -> str:
    esbuild = tools.node_modules() / ".bin" / "esbuild"
    done = subprocess.run(
        [str(esbuild), str(PAGE), "--bundle", "--format=iife"],
        env=dict(tools.node_environment()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


class Studio:
    """A node, a browser, and a site with the page."""

    def __init__(self, town: Town, browser: Browser, site: str) -> None:
        self.town, self.browser, self.site = town, browser, site

    async def open(self, user: str, way: str, seated: bool = True, **options: Any) -> Speaker:
        page = await self.browser.open(user, self.site)
        token = await self.town.token(user)
        await page.evaluate(f"window.state.user = {json.dumps(user)}")
        await page.evaluate(f"window.enter({json.dumps(self.town.node.url)}, {json.dumps(token)})")
        speaker = Speaker(page)
        if seated:
            await speaker.call("seat:take", index=-1)
        await page.evaluate(f"window.{way}({json.dumps(options)})")
        return speaker


class Speaker:
    """One page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def call(self, name: str, **body: Any) -> Any:
        return await self.page.evaluate(f"window.call({json.dumps(name)}, {json.dumps(body)})")

    async def figures(self) -> dict[str, Any]:
        return dict(await self.page.evaluate("window.figures()"))

    async def until(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        deadline = time.monotonic() + HEARD_SECONDS
        while True:
            found = await self.figures()
            if condition(found):
                return found
            assert time.monotonic() < deadline, (what, found)
            await asyncio.sleep(0.1)

    async def hears(self) -> dict[str, Any]:
        """Packets and sound go up from what they are now."""
        before = await self.figures()
        return await self.until(
            lambda f: f["packets"] > before["packets"] + 25 and f["energy"] > before["energy"] + 1e-4,
            f"{self.page.name} hears nothing",
        )

    async def packet_bytes(self, packets: int) -> float:
        """The mean size of as many packets as come from now on."""
        before = await self.figures()
        after = await self.until(
            lambda f: f["packets"] >= before["packets"] + packets, f"{self.page.name} hears too little"
        )
        return float((after["bytes"] - before["bytes"]) / (after["packets"] - before["packets"]))

    async def hears_nothing(self) -> None:
        """Allow the 200 ms of the mute, then no packet any more."""
        await asyncio.sleep(0.3)
        before = await self.figures()
        await asyncio.sleep(0.7)
        after = await self.figures()
        assert after["packets"] == before["packets"]


@pytest.fixture(params=["auto"])
async def studio(data_directory: Path, bundle: str, request: pytest.FixtureRequest) -> AsyncIterator[Studio]:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=f"<body><script>{bundle}</script></body>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/", page)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    town = Town(data_directory, FLYLIVE_GATEWAY_ORIGINS="*", FLYLIVE_SFU_ENGINE=str(request.param))
    try:
        await town.open()
        async with opened_browser() as browser:
            yield Studio(town, browser, f"http://127.0.0.1:{port}/")
    finally:
        await town.close()
        await runner.cleanup()


async def both_hear(one: Speaker, two: Speaker) -> None:
    await asyncio.gather(one.hears(), two.hears())


@pytest.mark.parametrize("way", ["viaMediasoup", "viaOffer"])
async def test_two_pages_talk_mute_move_restart_and_come_back(studio: Studio, way: str) -> None:
    ada = await studio.open("ada", way)
    bob = await studio.open("bob", way)
    await both_hear(ada, bob)
    figures = await ada.figures()
    assert set(figures["dtls"]) == {"connected"}
    assert set(figures["srtp"]) == {"SRTP_AEAD_AES_128_GCM"}
    assert any(pair.startswith("udp 127.0.0.1") for pair in figures["pairs"])
    assert figures["lost"] == 0
    await ada.call("mic:set", muted=True)
    await bob.hears_nothing()
    await ada.hears()
    await ada.call("mic:set", muted=False)
    await bob.hears()
    await ada.call("seat:move", index=5)
    await bob.hears()
    await asyncio.gather(ada.page.evaluate("state.restart()"), bob.page.evaluate("state.restart()"))
    await both_hear(ada, bob)
    await ada.call("seat:leave")
    await bob.hears_nothing()
    await ada.call("seat:take", index=7)
    await bob.hears()
    await ada.page.evaluate("state.close()")
    await ada.page.evaluate(f"window.{way}({{}})")
    await both_hear(ada, bob)
    assert (await bob.until(lambda f: f["trip"] is not None, "no reports"))["trip"] < 1


@pytest.mark.parametrize("studio", ["auto", "python"], indirect=True)
async def test_all_kinds_of_clients_are_in_one_room(studio: Studio) -> None:
    ada = await studio.open("ada", "viaMediasoup")
    bob = await studio.open("bob", "viaOffer", slots=3)
    eve = await studio.open("eve", "viaMediasoup", slots=3, nack=True)
    zoe = await studio.town.user("zoe")
    peer = await zoe.talk(slots=3)
    await asyncio.gather(ada.hears(), bob.hears(), eve.hears(), peer.hears())
    slots = [body["slots"] for name, body in zoe.events if name == "rtc:slots"][-1]
    assert set(slots) == {"ada", "bob", "eve"}
    listener = await studio.open("guest", "viaMediasoup", seated=False, mic=False, slots=4)
    await listener.hears()
    await asyncio.sleep(1.0)
    figures = await listener.figures()
    assert figures["lost"] == 0


async def test_older_clients_talk_with_the_newest(studio: Studio) -> None:
    """mediasoup-client 3.6 wants to be the DTLS server where it sends, and names its capabilities another
    way."""
    ada = await studio.open("ada", "viaMediasoup", version="3.6")
    bob = await studio.open("bob", "viaMediasoup", version="3.7", nack=True)
    eve = await studio.open("eve", "viaMediasoup")
    await asyncio.gather(ada.hears(), bob.hears(), eve.hears())
    assert set((await ada.figures())["roles"]) == {"client", "server"}
    await ada.call("mic:set", muted=True)
    await bob.call("mic:set", muted=True)
    await eve.hears_nothing()
    await ada.call("mic:set", muted=False)
    await asyncio.gather(bob.hears(), eve.hears())
    await asyncio.gather(*(speaker.page.evaluate("state.restart()") for speaker in (ada, bob)))
    await asyncio.gather(ada.hears(), bob.hears(), eve.hears())
    slots = await studio.open("guest", "viaMediasoup", version="3.6", seated=False, mic=False, slots=2)
    await slots.hears()


async def test_networks_without_udp_talk_by_tcp(studio: Studio) -> None:
    ada = await studio.open("ada", "viaMediasoup", protocol="tcp")
    bob = await studio.open("bob", "viaMediasoup", slots=2)
    await both_hear(ada, bob)
    stats = await ada.call("rtc:stats")
    assert {transport["protocol"] for transport in stats["transports"]} == {"tcp"}
    await ada.page.evaluate("state.restart()")
    await both_hear(ada, bob)


@pytest.mark.parametrize("studio", ["auto", "python"], indirect=True)
async def test_redundancy_reaches_those_who_want_it(studio: Studio) -> None:
    ada = await studio.open("ada", "viaOffer", red=True, slots=2)
    bob = await studio.open("bob", "viaOffer", red=True, slots=2)
    eve = await studio.open("eve", "viaMediasoup", slots=2, mic=False)
    await asyncio.gather(ada.hears(), bob.hears(), eve.hears())
    # About the same three seconds of both: the microphone beeps once a second, and a beep is large.
    redundant, plain = await asyncio.gather(bob.packet_bytes(150), eve.packet_bytes(300))
    # Twice as large at best; a browser short of time sends some without the one before in them.
    assert redundant > 1.25 * plain
